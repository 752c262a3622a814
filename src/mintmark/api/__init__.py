"""The read API: registers over HTTP, at any size or time, in many formats, with their proofs.

    server ── app ── routes ── models ── responses ── formats/*, html
                       └── register_cache ── store

It holds no key of any log, and reads nothing past a register's head.
"""
