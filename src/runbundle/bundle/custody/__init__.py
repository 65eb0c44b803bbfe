"""Custody of sealed bundles: legal holds, removal, and copies between stores."""
