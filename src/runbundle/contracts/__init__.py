"""Tool contracts: written, read, derived, checked, explained and enforced. Nothing here runs for each span."""
