"""Records to the bytes of a bundle."""
