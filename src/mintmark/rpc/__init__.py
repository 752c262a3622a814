"""The wire: generated stubs, the `Log` service over any reader, the client, and the table of status codes."""
