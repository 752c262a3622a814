"""The hot functions: a whole bundle or tile at a time (RFC 6962 section 2.1, C2SP tlog-tiles).

Rules: bytes in, bytes out; nothing here knows of sizes, indices or trees. A native twin may take the place of the batch
functions at the bottom of this module; the Python stays, as its oracle.
"""

from __future__ import annotations

import os
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from types import ModuleType

HASH_BYTES = 32  # bytes in a hash
TILE_WIDTH = 256  # entries in a full bundle, hashes in a full tile
MAX_SIZE = 2**63 - 1  # entries in a log
EMPTY_ROOT = sha256(b"").digest()

_PAIR = 2 * HASH_BYTES


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry, as a leaf."""
    return sha256(b"\0" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two hashes."""
    return sha256(b"\1" + left + right).digest()


def cut(bundle: bytes) -> list[bytes]:
    """The entries of a bundle: each a uint16 length, big-endian, then that many bytes.

    Raises:
        Malformed: the bundle ends within an entry.
    """
    # Slices stop where the bytes end, so an entry that runs over the end shows once, after the loop.
    entries, at, last = [], 0, len(bundle) - 1
    while at < last:
        start = at + 2
        at = start + (bundle[at] << 8 | bundle[at + 1])
        entries.append(bundle[start:at])
    if at != len(bundle):
        raise Malformed("truncated entry bundle")
    return entries


def skip(bundle: bytes, at: int, most: int) -> tuple[int, int]:
    """The end of the next `most` entries from `at` on, or of all that are left; and their number.

    Raises:
        Malformed: the bundle ends before `at`, or within an entry of them.
    """
    taken, start = 0, at
    while taken < most and at < len(bundle):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
        taken += 1
    if start < 0 or at > len(bundle):
        raise Malformed("truncated entry bundle")
    return at, taken


def leaf_hashes(bundle: bytes) -> bytes:
    """The leaf hashes of a bundle, 32 bytes an entry: exactly its level-0 tile.

    Raises:
        Malformed: the bundle ends within an entry.
    """
    return b"".join([sha256(b"\0" + entry).digest() for entry in cut(bundle)])


def fold(hashes: bytes) -> bytes:
    """The root over consecutive nodes of one level; an odd last node moves up unchanged.

    Raises:
        Malformed: not one or more whole hashes.
    """
    if not hashes or len(hashes) % HASH_BYTES:
        raise Malformed(f"{len(hashes)} bytes are not one or more whole hashes")
    while (size := len(hashes)) > HASH_BYTES:
        odd = hashes[size - HASH_BYTES :] if size % _PAIR else b""
        pairs = range(0, size - _PAIR + 1, _PAIR)
        hashes = b"".join([sha256(b"\1" + hashes[at : at + _PAIR]).digest() for at in pairs]) + odd
    return hashes


def fold_tiles(hashes: bytes) -> bytes:
    """The hashes a level higher: the root over each 256 of these, and over the rest.

    Raises:
        Malformed: not whole hashes.
    """
    return b"".join(
        [fold(hashes[at : at + TILE_WIDTH * HASH_BYTES]) for at in range(0, len(hashes), TILE_WIDTH * HASH_BYTES)]
    )


def native(module: str) -> ModuleType | None:
    """The native twin of a module, if it is built. MINTMARK_KERNEL=python takes none; =native insists on it.

    Raises:
        Misconfigured: MINTMARK_KERNEL has another value, or is native and the twin was not built.
    """
    choice = os.environ.get("MINTMARK_KERNEL", "")
    if choice not in ("", "python", "native"):
        raise Misconfigured(f"MINTMARK_KERNEL={choice}: set it to python or native, or leave it unset")
    if choice == "python":
        return None
    try:
        return import_module(module)
    except ImportError as error:
        if choice == "native":
            raise Misconfigured("MINTMARK_KERNEL=native, but the native kernel was not built here; unset it") from error
        return None


if NATIVE := (_native := native("mintmark.tlog._kernel")) is not None:
    cut, skip, leaf_hashes = _native.cut, _native.skip, _native.leaf_hashes
    fold, fold_tiles = _native.fold, _native.fold_tiles
