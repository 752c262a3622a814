"""A Lambda container: `python -m tests.support.invoke SECONDS EVENT...` calls the handler with each event, in turn.

The last event is repeated until its answer is done. A line for each: the answer, and whether the connections were kept.
"""

from __future__ import annotations

import json
import sys
from time import monotonic

from mintmark.mirror import aws


class Context:
    """The context of a function that may run for so many seconds, as Lambda hands it."""

    def __init__(self, number: int, seconds: float) -> None:
        self.aws_request_id = f"request-{number}"
        self._end = monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - monotonic()) * 1000)


def main(seconds: float, events: list[str]) -> None:
    number, pool = 0, None
    while True:
        began = monotonic()
        answer = aws.handler(json.loads(events[min(number, len(events) - 1)]), Context(number, seconds))
        kept, pool = pool is aws._container._pool, aws._container._pool
        print(json.dumps({"answer": answer, "kept": kept, "seconds": monotonic() - began}), flush=True)
        number += 1
        if answer["done"] and number >= len(events):
            return


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
