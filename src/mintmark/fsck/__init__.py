"""The check of everything that a database says of its logs, and its repair from a source.

    notes ──────> signed sizes and roots                  `notes`, `opening`: what is believed
    bundles ────> leaf hashes ── tree ──> those roots     `leaves`, `tree`
    entries ────> items and erasures                      `items`
                  rows, counts, v1 tree                   `rows`, of a read database
                  definitions, clocks, requests           `mint`, `requests`, of a mint's

`check` goes through all of it once; `repair` repairs the damage, with bundles that `restore` fetches; `rebuild` writes
all rows again. Nothing is believed because it is stored: of two rows that disagree, the one that leads to the signed
root is right.
"""
