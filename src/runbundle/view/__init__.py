"""Looking at runs in a browser: a page, the server that gives it to one person, and the same page as one file."""
