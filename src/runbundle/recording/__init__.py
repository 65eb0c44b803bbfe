"""From an accepted record to a published bundle."""
