"""What happens to a bundle after its seal: it is held, removed, copied."""
