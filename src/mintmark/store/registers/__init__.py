"""Registers as rows, for the read API. Every query names the size at which it reads, which is never beyond a head."""
