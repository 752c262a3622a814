"""An object store as a place to publish at: files of a log below one prefix, over obstore (the `publish` extra).

Files that are hashed never change, and are cached for ever; a bundle of items is not: an item may be erased. The
checkpoint is replaced only where it still is the one that was read, by the store's own compare-and-swap where it has
one. A local directory has none, nor headers; there the files are on disk before the checkpoint names them.
"""

from __future__ import annotations

import asyncio
import atexit
import gzip
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from mintmark.errors import Conflict, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore import PutMode
    from obstore.store import ObjectStore

MAX_REQUESTS = 32  # at once
EXIT_DELAY_SECONDS = 0.2  # of the interpreter, while obstore's threads end
GZIP_LEVEL = 6
CHECKPOINT_PATH = "checkpoint"
FILLED_PATH = "filled.json"  # the tiles and bundles whose partial files are to go: path -> Unix time of being full
TILE_HEADERS = {"Content-Type": "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable"}
ENTRIES_HEADERS = {**TILE_HEADERS, "Content-Encoding": "gzip"}
ITEMS_HEADERS = {**ENTRIES_HEADERS, "Cache-Control": "public, max-age=60"}
CHECKPOINT_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "public, max-age=2"}
FILLED_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}
BUNDLE_HEADERS = {"tile/entries/": ENTRIES_HEADERS, "tile/items/": ITEMS_HEADERS}  # by the beginning of a path


class StoredFile(NamedTuple):
    """A file, and the store's tag of this version of it."""

    data: bytes
    tag: str | None


class PublishedLog:
    """The files of the log NAME, below NAME/log/ as in the read API. `url` is the store's.

    Raises Unavailable, or Misconfigured where the store refuses us.
    """

    def __init__(self, store: ObjectStore, url: str, name: str) -> None:
        from obstore.store import LocalStore

        self._store, self._prefix = store, f"{name}/log/"
        self.url = f"{url.rstrip('/')}/{self._prefix}"
        self._local = isinstance(store, LocalStore)
        self._lanes = asyncio.Semaphore(MAX_REQUESTS)
        self.files = self.bytes = 0  # that were written

    async def get(self, path: str) -> StoredFile | None:
        """A file, if it is there."""
        import obstore

        async with self._lanes:
            with _named(self.url + path):
                try:
                    found = await obstore.get_async(self._store, self._prefix + path)
                    return StoredFile(bytes(await found.bytes_async()), found.meta["e_tag"])
                except FileNotFoundError:
                    return None

    async def put(self, path: str, data: bytes) -> None:
        """Writes a tile or a bundle. Bundles are compressed: clients unpack a file that is marked as gzip."""
        headers = next((of for prefix, of in BUNDLE_HEADERS.items() if path.startswith(prefix)), TILE_HEADERS)
        if "Content-Encoding" in headers and not self._local:
            data = await asyncio.to_thread(gzip.compress, data, GZIP_LEVEL, mtime=0)
        await self._put(path, data, headers, "overwrite")
        self._count(data)

    async def put_checkpoint(self, note: bytes, before: StoredFile | None) -> None:
        """Writes the checkpoint, last. Raises Conflict where it is not `before` any more."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: PutMode = "create" if before is None else {"e_tag": before.tag} if before.tag else "overwrite"
        if self._local:
            await asyncio.to_thread(os.sync)
            if before is not None and (await self.get(CHECKPOINT_PATH) or before).data != before.data:
                raise Conflict(f"{self.url}{CHECKPOINT_PATH} was replaced by another publisher")
            mode = "create" if before is None else "overwrite"
        try:
            await self._put(CHECKPOINT_PATH, note, CHECKPOINT_HEADERS, mode)
            self._count(note)
        except (AlreadyExistsError, PreconditionError):
            raise Conflict(f"{self.url}{CHECKPOINT_PATH} was replaced by another publisher") from None

    async def get_filled(self) -> dict[str, int]:
        """The paths of full tiles and bundles that have partial files still, and since when they are full.

        What is not ours to delete is left out: others may write to the place.
        """
        found = await self.get(FILLED_PATH)
        try:
            paths = json.loads(found.data) if found is not None else {}
            return {path: int(at) for path, at in paths.items() if path.startswith("tile/") and ".." not in path}
        except (ValueError, TypeError, AttributeError):
            return {}

    async def put_filled(self, paths: dict[str, int]) -> None:
        """Writes them."""
        await self._put(FILLED_PATH, json.dumps(paths, sort_keys=True).encode(), FILLED_HEADERS, "overwrite")

    async def delete_partials(self, full: str, keep: str = "") -> None:
        """Deletes the partial files of a tile or a bundle, given the path of the full one; not the one to keep."""
        import obstore

        with _named(self.url + full):
            listed = obstore.list(self._store, f"{self._prefix}{full}.p")
            paths = [found["path"] async for batch in listed for found in batch]
            if gone := [path for path in paths if path != self._prefix + keep]:
                await obstore.delete_async(self._store, gone)

    async def _put(self, path: str, data: bytes, headers: dict[str, str], mode: PutMode) -> None:
        import obstore

        async with self._lanes:
            with _named(self.url + path):
                attributes = None if self._local else headers
                await obstore.put_async(self._store, self._prefix + path, data, attributes=attributes, mode=mode)

    def _count(self, data: bytes) -> None:
        self.files += 1
        self.bytes += len(data)


def open_store(url: str) -> ObjectStore:
    """The object store at a URL; its credentials are found as its own tools find them. Raises Misconfigured."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import HTTPStore, from_url
    except ImportError as error:
        raise Misconfigured("obstore is not installed; run pip install 'mintmark[publish]'") from error
    try:
        store = from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
    except OSError as error:
        raise Misconfigured(
            f"cannot write to {unquote(urlsplit(url).path)}: {_reason(error)}; choose another place"
        ) from error
    except (BaseError, ValueError) as error:
        raise _no_store(url, _reason(error)) from error
    if isinstance(store, HTTPStore):
        raise _no_store(url, "a web server takes no files")
    # Its threads still free memory after their last answer; an interpreter that has ended by then aborts.
    atexit.register(time.sleep, EXIT_DELAY_SECONDS)
    return store


def _no_store(url: str, reason: str) -> Misconfigured:
    return Misconfigured(
        f"{url} is no object store: {reason}; "
        "give file:///DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX"
    )


@contextmanager
def _named(file: str) -> Iterator[None]:
    """Raises obstore's errors as ours, but for those that say that a file is there, or is another."""
    from obstore import exceptions as theirs

    try:
        yield
    except (theirs.AlreadyExistsError, theirs.PreconditionError):
        raise
    except (theirs.PermissionDeniedError, theirs.UnauthenticatedError) as error:
        raise Misconfigured(f"the object store refuses us at {file}: {_reason(error)}") from error
    except (theirs.BaseError, OSError) as error:
        raise Unavailable(f"the object store failed at {file}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Their sentence, without what they print below it for debugging."""
    return str(error).partition("\n\n")[0].strip()
