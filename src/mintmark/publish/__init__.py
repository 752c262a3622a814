"""Publishing logs as static files in object stores."""
