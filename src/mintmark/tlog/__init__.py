"""The core: trees, proofs, notes and trust. Pure: bytes and ints in, values out; no I/O, clock, logging or settings.

    kernel ── bundle, tile ── edge         what a log is made of
    kernel ── merkle ── prove              that a part belongs to the whole
    treehead ── signed, algorithms ── keys     who says what
    note ── checkpoint ── cosignature, proof_file, policy
    trust, second_path                     what came in, and what is about to go out, checked

Each module names the specification that it follows.
"""
