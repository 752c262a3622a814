"""Commands for who operates databases, mirrors and mints."""
