"""The logs' secret keys: DIR/NAME.key with one key a line, where NAME is the last segment of the log's origin.

All keys of a file sign each checkpoint. To change a key, put the new one beside the old one, let the mint sign once
with both, and then take the old one away: those who trust either key can follow the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured
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
        return tuple(parse_skey(line) for line in data.decode("ascii").removesuffix("\n").split("\n"))
    except OSError as error:
        raise Misconfigured(f"the secret key {file} cannot be read: {error.strerror}") from error
    except (Malformed, UnicodeDecodeError) as error:
        reason = error if isinstance(error, Malformed) else "a byte is not ASCII"
        raise Malformed(f"{file} is not a secret key: {reason}") from error


class KeyDirectory:
    """The directory of a mint's keys. Files are read when a log is opened.

    Raises:
        Misconfigured: there is no such directory.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise Misconfigured(f"the directory of keys {directory} is not there; name it with [mint] keys")
        self.directory = directory

    def signers(self, origin: str) -> tuple[Signer, ...]:
        """The keys that a log signs with.

        Raises:
            Misconfigured: there are none here, they are of another log, or the file holds something else. The message,
                which a client may see, does not say where the directory is.
        """
        file = self.file(origin, "key")
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
        return signers

    def file(self, origin: str, suffix: str) -> Path:
        """The file of a log here: `key`, or `mark` for its high-water mark."""
        return self.directory / f"{short_name(origin)}.{suffix}"
