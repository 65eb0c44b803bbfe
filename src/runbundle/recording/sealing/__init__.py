"""Who publishes runs: a thread, or a process of ours."""
