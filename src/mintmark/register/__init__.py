"""The register model, without I/O: items, entries, the rules that admit them, and the files that carry them.

A register log's entry (the leaf) is `entry.Entry` as canonical JSON. It names its item by hash, so an item can be
erased without breaking a proof. System entries define the register in the same log as the user entries that fill it.
"""
