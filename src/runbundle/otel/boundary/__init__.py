"""The processors of spans and log records that the SDK calls; nothing behind them sees raw content of agents."""
