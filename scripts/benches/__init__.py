"""Benchmarks: one module a subject, each with `ABOUT` and `async def run(options) -> Report` (scripts/bench).

A number alone says little on a shared machine. So what is compared runs in the same rounds, in turn; the first round is
discarded; a ratio is the median of the rounds' ratios.
"""
