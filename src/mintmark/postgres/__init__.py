"""The embedded Postgres: programs from a wheel or the system, a directory, a user to run as, start and stop."""
