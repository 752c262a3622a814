"""The logs' secret keys: DIR/NAME.key with one key a line, where NAME is the last segment of the log's origin.

All keys of a file sign each checkpoint. To change a key, put the new one beside the old one, let the mint sign once
with both, and then take the old one away: those who trust either key can follow the change. A mint that runs reads the
file again when it changes, signs its head with both at once, and goes on with the old keys while the file cannot be
read, or would leave a head that none of its keys has signed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, Misconfigured
from mintmark.files import file_stamp
from mintmark.tlog.origin import short_name
from mintmark.tlog.text import line_fault

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.tlog.note import SecretKey, Signer


def read_keys(file: Path) -> tuple[SecretKey, ...]:
    """The secret keys in a file.

    Raises:
        Misconfigured: it cannot be read.
        Malformed: it holds anything else.
    """
    from mintmark.tlog.note import parse_skey  # here, because every command imports this module

    try:
        data = file.read_bytes()
        if fault := line_fault(data):
            raise Malformed(fault)
        return tuple(parse_skey(line) for line in data.decode().removesuffix("\n").split("\n"))
    except OSError as error:
        raise Misconfigured(f"the secret key {file} cannot be read: {error.strerror}") from error
    except (Malformed, UnicodeDecodeError) as error:
        reason = error if isinstance(error, Malformed) else "it is not UTF-8"
        raise Malformed(f"{file} is not a secret key: {reason}") from error


class LogKeys(NamedTuple):
    """The keys that one log signs with, and the stamp of the file that they were read from."""

    signers: tuple[Signer, ...]
    stamp: object


class KeyDirectory:
    """The directory of a mint's keys. A file is read when its log is opened; from then on its keys are in force.

    Raises:
        Misconfigured: there is no such directory.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise Misconfigured(f"the directory of keys {directory} is not there; name it with [mint] keys")
        self.directory = directory
        self._in_force: dict[str, LogKeys] = {}

    def signers(self, origin: str) -> tuple[Signer, ...]:
        """The keys that a log signs with: those in force, or those in its file. Raises as `read` does."""
        if origin not in self._in_force:
            self._in_force[origin] = self.read(origin)
        return self._in_force[origin].signers

    def put_in_force(self, origin: str, keys: LogKeys) -> None:
        """Has a log sign with other keys from now on."""
        self._in_force[origin] = keys

    def is_changed(self, origin: str) -> bool:
        """True where a log's keys are in force, and its file is not the one that they were read from."""
        keys = self._in_force.get(origin)
        return keys is not None and keys.stamp != file_stamp(self.file(origin, "key"))

    def stamp(self) -> object:
        """A value that changes when a file of keys does."""
        try:
            with os.scandir(self.directory) as files:
                return {file.name: file_stamp(file.path) for file in files if file.name.endswith(".key")}
        except OSError as error:
            return str(error)

    def read(self, origin: str) -> LogKeys:
        """The keys in a log's file.

        Raises:
            Misconfigured: there are none here, they are of another log, or the file holds something else. The message,
                which a client may see, does not say where the directory is.
        """
        file = self.file(origin, "key")
        stamp = file_stamp(file)
        if not file.exists():
            advice = f"make one with: mintmark keygen {origin} -o KEYS, the mint's directory of keys"
            raise Misconfigured(f"no key of {origin} is here; {advice}")
        try:
            signers = read_keys(file)
        except (Malformed, Misconfigured) as error:
            raise Misconfigured(str(error).replace(str(file), file.name)) from error
        if any(signer.name != origin for signer in signers):
            raise Misconfigured(
                f"{file.name} is the key of {signers[0].name}, not of {origin}; each log has a name of its own"
            )
        return LogKeys(signers, stamp)

    def file(self, origin: str, suffix: str) -> Path:
        """The file of a log here: `key`; `mark` for its high-water mark; `lock` and `head` for its claim."""
        return self.directory / f"{short_name(origin)}.{suffix}"
