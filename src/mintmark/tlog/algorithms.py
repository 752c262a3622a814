"""Signature algorithms: the bytes of public keys, and the messages that they sign.

C2SP signed-note and tlog-cosignature; RFC 6962 section 3.5; RFC 5246 section 4.7.

A function `load_...` takes the bytes of a public key, and gives a check of a bare signature and its message. It raises
Malformed for bytes that are no key of its type, and for Ed25519 points of low order, which verify forged signatures.

A function `..._message` takes a key's name, a note's text and the bytes behind the key ID in a signature line. It gives
the bare signature and the message that was signed. It raises Malformed for a text or a line that is not of its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from mintmark.errors import Malformed
from mintmark.tlog.text import MAX_NUMBER, parse_tree_head

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[bytes, bytes], None]  # signature, message; raises InvalidSignature

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_P = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER = {0, 1, _P - 1, _ORDER_8, _P - _ORDER_8}  # y of the points of order 1, 2, 4 and 8


def load_ed25519(material: bytes) -> Check:
    """Type 0x01 and 0x04: a point of 32 bytes."""
    if len(material) != 32:
        raise Malformed(f"an Ed25519 key of {len(material)} bytes, not 32")
    y = int.from_bytes(material, "little") % 2**255
    if y >= _P or y in _LOW_ORDER:
        raise Malformed("an Ed25519 key that verifies forged signatures (a point of low order, or not canonical)")
    return ed25519.Ed25519PublicKey.from_public_bytes(material).verify


def load_mldsa(material: bytes) -> Check:
    """Type 0x06: an ML-DSA-44 key, for signatures with the empty context."""
    try:
        return mldsa.MLDSA44PublicKey.from_public_bytes(material).verify
    except ValueError as error:
        raise Malformed(f"an ML-DSA-44 key of {len(material)} bytes, not 1312") from error


def load_ecdsa(material: bytes) -> Check:
    """Type 0x02: a key on a NIST curve, in DER, for signatures of SHA-256."""
    key = _load_spki(material)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise Malformed(f"not an ECDSA key on one of {', '.join(_CURVES)}")
    return lambda signature, message: key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


def load_rfc6962(material: bytes) -> Check:
    """Type 0x05: an ECDSA or RSA key, in DER, for signatures that name their algorithm."""
    key = _load_spki(material)
    if isinstance(key, rsa.RSAPublicKey):
        return _digitally_signed(
            1, lambda bare, message: key.verify(bare, message, padding.PKCS1v15(), hashes.SHA256())
        )
    return _digitally_signed(3, load_ecdsa(material))


def _digitally_signed(algorithm: int, check: Check) -> Check:
    """RFC 5246 section 4.7: SHA-256 (4), the algorithm, the signature's length in two bytes, the signature."""

    def check_all(signature: bytes, message: bytes) -> None:
        if signature[:4] != bytes([4, algorithm]) + len(signature[4:]).to_bytes(2, "big"):
            raise InvalidSignature
        check(signature[4:], message)

    return check_all


def _load_spki(material: bytes) -> object:
    try:
        key = serialization.load_der_public_key(material)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("not a public key in DER (SubjectPublicKeyInfo)") from error
    canonical = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if canonical != material:
        raise Malformed("a public key that is not in canonical DER")
    return key


def text_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Types 0x01 and 0x02: the text."""
    return signature, text


def cosignature_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Type 0x04: the text behind the time; the name is not part of it."""
    return signature[8:], cosigned_text(signature_time(signature), text)


def subtree_message(name: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Type 0x06: the tree of the text, the time and the name."""
    signature_time(signature)
    return signature[8:], signed_subtree(name, signature[:8], text)


def rfc6962_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """Type 0x05: the tree behind a time in milliseconds; neither name nor origin is part of it."""
    head = parse_tree_head(text)
    return signature[8:], b"\x00\x01" + signature[:8] + head.size.to_bytes(8, "big") + head.root


def cosigned_text(time: int, text: bytes) -> bytes:
    """The message of an Ed25519 cosignature of `time`, in Unix seconds."""
    return b"cosignature/v1\ntime %d\n" % time + text


def signed_subtree(name: str, stamp: bytes, text: bytes) -> bytes:
    """The message of an ML-DSA-44 signature: the whole tree; `stamp` is the time, in 8 bytes."""
    head = parse_tree_head(text)
    label = b"subtree/v1\n\0" + _counted(name) + stamp + _counted(head.origin)
    return label + bytes(8) + head.size.to_bytes(8, "big") + head.root


def signature_time(signature: bytes) -> int:
    """The time within a signature of type 0x04 or 0x06, in Unix seconds."""
    if (time := int.from_bytes(signature[:8], "big")) > MAX_NUMBER:
        raise Malformed("a time beyond 2^63 - 1")
    return time


def _counted(name: str) -> bytes:
    return bytes([len(encoded := name.encode())]) + encoded
