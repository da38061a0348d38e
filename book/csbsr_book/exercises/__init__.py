"""Checks of the exercises and labs: one function per exercise, which says what is off."""
