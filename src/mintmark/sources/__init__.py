"""Where the entries of logs come from: over gRPC, or as files over HTTP. None is trusted."""
