"""Mirrors: fetch, verify, write. Several at once, no leader; all state is in the read database."""
