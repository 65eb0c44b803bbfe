"""Parts of the catalogue of findings: the form of an entry, and the entries that are about no bundle."""
