"""The process around us: forks, signals, file modes, locks and logs."""
