"""Mutants: one-line changes to checks, each of which must make a test fail."""
