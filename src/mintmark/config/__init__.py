"""Files that a deployment is configured by: settings, keys, the trust directory, the directory of an `up`."""
