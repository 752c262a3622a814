"""One small module a format; each renders every answer that has a place in it, and problems."""
