"""The command line: parse, call, print. One module a command; nothing heavy is imported before a command needs it."""
