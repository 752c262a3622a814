"""Whether there is a record to end, by the read API: a guard against misspelt keys, for a tombstone stays for good.

The mint has no index of keys, and takes any tombstone. A read API that is away, or behind the mint, says nothing here,
and refuses nothing.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from mintmark.cli.read.prove import TIMEOUT, register_url
from mintmark.client.download import get_head
from mintmark.client.upload import patiently
from mintmark.errors import Rejected

if TYPE_CHECKING:
    from mintmark.cli.options import Target, TrustedLog


async def check_stands(where: Target, log: TrustedLog, key: str) -> None:
    """Raises Rejected where the read API has all that the mint has, and no record of this key in it that stands."""
    if where.http is None:
        return
    async with where.client() as client:
        head = await patiently(lambda: get_head(client, log))
    register, at = register_url(where.http, log.name), f".json?at={head.size}"
    record = f"{register}/records/{quote(key, safe='')}"
    if await _get(record + at) != HTTPStatus.NOT_FOUND or await _get(f"{register}/register{at}") != HTTPStatus.OK:
        return
    if await _get(f"{record}/entries{at}") == HTTPStatus.OK:
        raise Rejected(f"record {key!r} has ended already", rule="tombstone")
    raise Rejected(f"no record {key!r} to end", rule="tombstone")


async def _get(url: str) -> int | None:
    """The status of an answer, if there is one."""
    return await asyncio.to_thread(_status, Request(url, headers={"Cache-Control": "no-cache"}))  # noqa: S310  # http


def _status(request: Request) -> int | None:
    try:
        with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310  # the caller chose it
            return int(response.status)
    except HTTPError as error:
        return error.code
    except (HTTPException, OSError):
        return None
