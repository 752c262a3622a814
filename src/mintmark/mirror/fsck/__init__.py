"""Checking everything that a database says of its logs, and mending it from a source (issue "fsck").

    notes ──────> signed sizes and roots                  what is believed
    bundles ────> leaf hashes ── tree ──> those roots     `tree`: bundles, tiles, heads
    entries ────> rows, counts, v1 tree, erasures         `rows`, of a read database
                  definitions, clocks, requests           `mint`, of a mint's

Nothing is believed because it is stored; of two rows that disagree, the one that leads to the signed root is right.
"""
