"""The mint: checks, orders, signs and commits appends to verifiable logs."""
