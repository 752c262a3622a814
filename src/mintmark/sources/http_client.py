"""The parts of every client: proxies of the environment, and gzip that is unpacked up to a bound.

Proxies (http_proxy and its like) are taken from the environment by gRPC and httpx themselves. An address of this
machine is never asked through one: another machine's proxy cannot reach it. An error of any other address names the
proxy that the environment has for it, for that may be where the fault is.
"""

from __future__ import annotations

import zlib
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

GRPC_SCHEMES = ("grpc", "https", "http")  # whose variables gRPC looks for, in this order
UNIX_SCHEMES = ("unix:", "unix-abstract:")
GZIP_ENCODINGS = ("gzip", "x-gzip")  # two names of one coding (RFC 9110, 8.4.1.3)
GZIP_WINDOW_BITS = 31  # zlib's number for gzip's header and trailer


def is_local(address: str) -> bool:
    """True if an address (HOST:PORT, a URL, a unix socket) is of this machine."""
    if address.startswith(UNIX_SCHEMES):
        return True
    host = _host(address)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def name_proxy(address: str) -> str:
    """What an error of an address says of the proxy before it; empty where there is none."""
    if is_local(address) or proxy_bypass(_host(address)):
        return ""
    proxies = getproxies_environment()
    schemes = (urlsplit(address).scheme, "all") if "://" in address else GRPC_SCHEMES
    for scheme in schemes:
        if proxy := proxies.get(scheme):
            return f" (through the proxy {_without_password(proxy)}, which {scheme}_proxy names in the environment)"
    return ""


class Gunzip:
    """Unpacks gzip (RFC 1952) as it comes: one member or several, up to `max_bytes` in all and no further."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._member = zlib.decompressobj(GZIP_WINDOW_BITS)

    @property
    def ended(self) -> bool:
        """True if what was fed ends where a member does."""
        return self._member.eof

    def feed(self, data: bytes) -> bytes:
        """What the next bytes unpack to. Raises zlib.error for what is no gzip."""
        unpacked = bytearray()
        while data and self._left:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP_WINDOW_BITS)
            part = self._member.decompress(data, self._left)
            unpacked += part
            self._left -= len(part)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return bytes(unpacked)


def _host(address: str) -> str:
    try:
        return urlsplit(address if "://" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def _without_password(proxy: str) -> str:
    return proxy.rpartition("@")[2].rpartition("://")[2].rstrip("/")
