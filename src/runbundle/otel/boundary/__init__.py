"""What the SDK calls: the processors of spans and log records, before which nobody sees raw content of agents."""
