"""A zip file written as a stream (APPNOTE 6.3.10): it never seeks back, and its directory waits on disk.

The standard library's writer keeps an object for each file in memory; a register has millions. Files are stored
uncompressed, with sizes in front; the whole is compressed like any response. The end records are ZIP64.
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

_ZIP64_VERSION, _UTF8_NAMES, _STORED = 45, 0x0800, 0
_DOS_TIME, _DOS_DATE = 0, 0x21  # midnight of 1 January 1980: the same register makes the same file
_IN_ZIP64 = 0xFFFFFFFF  # in a field of 32 bits: the value is in the ZIP64 record
_MAX_DIRECTORY_MEMORY_BYTES = 2**16
_PART_BYTES = 2**16


class Archive:
    """A zip file that is being written: `add` and `finish` return its next bytes."""

    def __init__(self) -> None:
        self._directory = tempfile.SpooledTemporaryFile(_MAX_DIRECTORY_MEMORY_BYTES)  # noqa: SIM115  # closed by __exit__
        self._offset = 0
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.close()

    def add(self, path: str, data: bytes) -> bytes:
        """Adds a file of less than 4 GB."""
        name, check, size = path.encode(), zlib.crc32(data), len(data)
        common = (_ZIP64_VERSION, _UTF8_NAMES, _STORED, _DOS_TIME, _DOS_DATE, check, size, size, len(name))
        local = _LOCAL(0x04034B50, *common, 0) + name + data
        extra = _OFFSET(1, 8, self._offset)
        head = _CENTRAL(0x02014B50, _ZIP64_VERSION, *common, len(extra), 0, 0, 0, 0o644 << 16, _IN_ZIP64)
        self._directory.write(head + name + extra)
        self._offset += len(local)
        self._count += 1
        return local

    def finish(self) -> Iterator[bytes]:
        """The directory, in parts."""
        size = self._directory.tell()
        self._directory.seek(0)
        while part := self._directory.read(_PART_BYTES):
            yield part
        end = self._offset + size
        count = self._count
        yield _END64(0x06064B50, 44, _ZIP64_VERSION, _ZIP64_VERSION, 0, 0, count, count, size, self._offset)
        yield _LOCATOR64(0x07064B50, 0, end, 1)
        yield _END(0x06054B50, 0, 0, 0xFFFF, 0xFFFF, _IN_ZIP64, _IN_ZIP64, 0)
