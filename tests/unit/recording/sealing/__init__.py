"""Who publishes."""
