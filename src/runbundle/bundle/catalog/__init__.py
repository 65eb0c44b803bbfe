"""Which bundles a store holds."""
