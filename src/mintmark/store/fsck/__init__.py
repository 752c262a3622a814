"""Rows of either kind of database as they are, for `fsck`, and the statements that repair them."""
