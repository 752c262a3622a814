"""Keys of signed notes: vkey and signer key texts, and what each signature type signs (C2SP signed-note, tlog-cosignature).

    0x01  Ed25519 over the note's text                     a log's key
    0x02  ECDSA over the note's text, DER                  verified only
    0x04  Ed25519 cosignature, with a time                 a mirror's or witness's key
    0x05  RFC 6962 tree head                               verified only
    0x06  ML-DSA-44 over a (sub)tree, with a time          a log's, a mirror's or a witness's key

The key ID of a text is recomputed and compared when it is read. Low-order Ed25519 points, which verify forged signatures,
are refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from mintmark.errors import Malformed
from mintmark.tlog import text as texts

if TYPE_CHECKING:
    from collections.abc import Callable

ED25519, ECDSA, COSIGNATURE, RFC6962, MLDSA44 = 0x01, 0x02, 0x04, 0x05, 0x06
