"""Key files. Public: NAME.vkey, a verifier key a line. Secret: NAME.key, a signer key a line, for its owner alone.

All keys of one file belong to one origin. Read strictly: a byte that does not belong is Malformed, so that a mangled
key is never taken for another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mintmark.errors import Malformed, Misconfigured
from mintmark.files import write_durably
from mintmark.mint.keys import read_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mintmark.tlog.note import SecretKey, Verifier

__all__ = [
    "check_keylike",
    "lines",
    "make_cosigner",
    "make_keys",
    "parse_vkeys",
    "read_keys",
    "read_vkeys",
    "write_keys",
]

# Any two of a key's parts that belong together: one changed byte leaves a pair of them.
_KEYLIKE = re.compile(rb"\+[0-9a-f]{8}|[0-9a-f]{8}\+|\+.{8}\+", re.DOTALL)


def check_keylike(file: Path) -> None:
    """Raises Misconfigured for a file that was never a public key, changed or not; one that is empty may have been."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"the public key {file} cannot be read: {error.strerror}") from error
    if data.strip() and not _KEYLIKE.search(data):
        raise Misconfigured(f"{file} is not a public key; one is <name>+<key ID>+<key>, a line each")


def parse_vkeys(text: str) -> tuple[Verifier, ...]:
    """The keys of one origin, a line each. Raises Malformed."""
    from mintmark.tlog.note import parse_vkey

    verifiers = tuple(parse_vkey(line) for line in text.removesuffix("\n").split("\n"))
    if len({verifier.name for verifier in verifiers}) != 1:
        raise Malformed("the keys of one file belong to several origins; give each its own file")
    return verifiers


def read_vkeys(file: Path) -> tuple[Verifier, ...]:
    """The public keys in a file. Raises Misconfigured when it cannot be read, Malformed when it holds anything else."""
    try:
        return parse_vkeys(file.read_bytes().decode("ascii"))
    except UnicodeDecodeError as error:
        raise Malformed(f"{file} is not a public key: a byte is not ASCII") from error
    except Malformed as error:
        raise Malformed(f"{file} is not a public key: {error}") from error
    except OSError as error:
        raise Misconfigured(f"the public key {file} cannot be read: {error.strerror}") from error


def make_keys(origin: str, mldsa: bool) -> tuple[SecretKey, ...]:
    """New keys for a log: Ed25519, and ML-DSA-44 beside it if asked."""
    from mintmark.tlog.note import ED25519, MLDSA44, generate_skey
    from mintmark.tlog.origin import check_origin

    check_origin(origin)
    kinds = (ED25519, MLDSA44) if mldsa else (ED25519,)
    return tuple(generate_skey(origin, kind) for kind in kinds)


def make_cosigner(name: str, mldsa: bool) -> SecretKey:
    """A new key for a mirror or a witness: of type 0x04, or ML-DSA-44 if asked."""
    from mintmark.tlog.note import COSIGNATURE, MLDSA44, generate_skey
    from mintmark.tlog.origin import check_origin

    check_origin(name)
    return generate_skey(name, MLDSA44 if mldsa else COSIGNATURE)


def write_keys(file: Path, signers: Sequence[SecretKey]) -> None:
    """Writes the secret half, never over another key. Raises Misconfigured where one is."""
    try:
        write_durably(file, lines(signer.skey for signer in signers), mode=0o600, replace=False)
    except FileExistsError as error:
        raise Misconfigured(f"{file} exists, and a log's key is never overwritten; choose another directory") from error


def lines(keys: Iterable[str]) -> bytes:
    """Keys as a file holds them."""
    return "".join(f"{key}\n" for key in keys).encode("ascii")
