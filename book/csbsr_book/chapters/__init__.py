"""One module per chapter: its figures and tables."""
