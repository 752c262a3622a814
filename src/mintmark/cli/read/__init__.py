"""Commands that read a log and verify it."""
