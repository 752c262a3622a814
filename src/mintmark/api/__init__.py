"""The read API: registers over HTTP, at any size or time, in the formats of one small module each, with their proofs.

    server ── app ── routes ── answers ── formats/*  (json, yaml, csv, tsv, ttl, jsonl, rsf, html …)
                       └── registers ── store

It holds no key of any log, and reads nothing past a register's head.
"""
