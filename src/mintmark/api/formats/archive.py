"""A zip file, written as a stream (APPNOTE 6.3.10): no file is sought back to, and its directory waits on disk.

The standard library's writer keeps an object for each file in memory; a register has millions. Files are stored as they
are, with sizes in front, and the whole is compressed on its way like any answer. ZIP64 throughout the end records.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_LOCAL = struct.Struct("<IHHHHHIIIHH").pack
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII").pack
_OFFSET = struct.Struct("<HHQ").pack  # the ZIP64 extra field
_END64 = struct.Struct("<IQHHIIQQQQ").pack
_LOCATOR64 = struct.Struct("<IIQI").pack
_END = struct.Struct("<IHHHHIIH").pack

_VERSION, _UTF8, _STORED = 45, 0x0800, 0
_TIME, _DATE = 0, 0x21  # midnight of 1 January 1980: the same register makes the same file
_WIDE = 0xFFFFFFFF
_IN_MEMORY = 2**20  # bytes of the directory
_PART = 2**16


class Archive:
    """Gives bytes for each file that is added, then the directory."""

    def __init__(self) -> None:
        self._directory = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed by __exit__
        self._offset = 0
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.close()

    def add(self, path: str, data: bytes) -> bytes:
        """A file of less than 4 GB."""
        name, check, size = path.encode(), zlib.crc32(data), len(data)
        common = (_VERSION, _UTF8, _STORED, _TIME, _DATE, check, size, size, len(name))
        local = _LOCAL(0x04034B50, *common, 0) + name + data
        extra = _OFFSET(1, 8, self._offset)
        head = _CENTRAL(0x02014B50, _VERSION, *common, len(extra), 0, 0, 0, 0o644 << 16, _WIDE)
        self._directory.write(head + name + extra)
        self._offset += len(local)
        self._count += 1
        return local

    def finish(self) -> Iterator[bytes]:
        """The directory, in parts."""
        size = self._directory.tell()
        self._directory.seek(0)
        while part := self._directory.read(_PART):
            yield part
        end = self._offset + size
        count = self._count
        yield _END64(0x06064B50, 44, _VERSION, _VERSION, 0, 0, count, count, size, self._offset)
        yield _LOCATOR64(0x07064B50, 0, end, 1)
        yield _END(0x06054B50, 0, 0, 0xFFFF, 0xFFFF, _WIDE, _WIDE, 0)
