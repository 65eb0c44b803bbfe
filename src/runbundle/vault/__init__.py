"""Debug mode: raw content, encrypted, beside the bundles and never in one."""
