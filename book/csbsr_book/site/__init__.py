"""How a page is made: tables, exhibits, chapters, the look, the build."""
