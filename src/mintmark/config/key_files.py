"""Makes keys and writes key files. Public: NAME.vkey, a verifier key a line. Secret: NAME.key, a signer key a line.

All keys of one file belong to one origin. `client.keys` reads public files and `mint.keys` secret ones, strictly: a
byte that does not belong is Malformed, so that a mangled key is never taken for another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Misconfigured
from mintmark.files import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mintmark.tlog.note import SecretKey


def make_keys(origin: str, mldsa: bool) -> tuple[SecretKey, ...]:
    """New keys for a log: Ed25519, and with `mldsa` ML-DSA-44 beside it. Raises Malformed for what is no origin."""
    from mintmark.tlog.note import ED25519, MLDSA44, generate_skey
    from mintmark.tlog.origin import check_origin

    check_origin(origin)
    kinds = (ED25519, MLDSA44) if mldsa else (ED25519,)
    return tuple(generate_skey(origin, kind) for kind in kinds)


def make_cosigner(name: str, mldsa: bool) -> SecretKey:
    """A new key for a mirror or a witness: of type 0x04, or with `mldsa` ML-DSA-44. Raises Malformed for no name."""
    from mintmark.tlog.note import COSIGNATURE, MLDSA44, generate_skey
    from mintmark.tlog.origin import check_origin

    check_origin(name)
    return generate_skey(name, MLDSA44 if mldsa else COSIGNATURE)


def write_keys(file: Path, signers: Sequence[SecretKey]) -> None:
    """Writes the secret halves. Raises Misconfigured where a file is: a key is never overwritten."""
    try:
        write_durably(file, format_key_lines(signer.skey for signer in signers), mode=0o600, replace=False)
    except FileExistsError as error:
        raise Misconfigured(f"{file} exists, and a log's key is never overwritten; choose another directory") from error


def format_key_lines(keys: Iterable[str]) -> bytes:
    """The bytes of a key file."""
    return "".join(f"{key}\n" for key in keys).encode()
