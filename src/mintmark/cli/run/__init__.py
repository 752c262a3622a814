"""Commands that run servers, one or all of them."""
