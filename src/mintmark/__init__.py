"""Mintmark: verifiable registers, mirrored into anybody's Postgres."""

__version__ = "0.1.0"
