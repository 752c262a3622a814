"""The mint's database."""
