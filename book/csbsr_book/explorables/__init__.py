"""Figures to play with: one folder each, a data builder beside its template."""
