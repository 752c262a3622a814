"""The wire: generated stubs, transport, the `Log` service over any reader, the client, the table of status codes."""
