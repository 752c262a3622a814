"""Connections to Postgres: the pool, schema migrations, and the statements of `.sql` files."""
