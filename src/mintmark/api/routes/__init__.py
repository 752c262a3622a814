"""The handlers, one file for each kind of resource; `table` maps paths to them."""
