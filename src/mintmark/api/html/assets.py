"""The files that pages load: read once, at an address that changes when one of them does, so browsers may keep them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=UTF-8",
    ".js": "text/javascript; charset=UTF-8",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file, with its media type."""

    type: str
    body: bytes


ASSETS: Mapping[str, Asset] = {
    file.name: Asset(TYPES[file.suffix], file.read_bytes()) for file in sorted(DIRECTORY.iterdir())
}
VERSION = sha256(b"".join(asset.body for asset in ASSETS.values())).hexdigest()[:12]
STATIC_PATH = f"/-/static/{VERSION}"  # no register can have the name `-`
