"""The core: trees, proofs, notes and trust. Pure: bytes and ints in, values out; no I/O, clock, logging or settings.

    kernel ── bundle, tile ── edge         the parts of a log
    kernel ── merkle ── prove              proofs that a part belongs to the whole
    text ── origin, algorithms ── keys     names, keys and signatures
    note ── checkpoint ── cosignature, proof_file, policy
    trust, second_path                     checks of received chunks, and of rows about to be written

Each module names the specification that it follows.
"""
