"""Commands that make logs and append to them."""
