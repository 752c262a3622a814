"""What each route does: one small module a kind of resource; `table` tells which path is whose."""
