"""A log as a database holds it: heads, tiles, bundles, and the notices that a head moved."""
