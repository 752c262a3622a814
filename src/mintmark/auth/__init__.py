"""Who may do what: bearer tokens with rights, quotas and logs, and the interceptors that ask for them."""
