"""Postgres, and the only place that knows it: schema, log store, read store, embedded server."""
