"""Addresses to listen on: HOST:PORT, port 0 for any free one."""

from __future__ import annotations

import socket

from mintmark.errors import Misconfigured

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # where to reach what listens everywhere


def split(address: str, option: str) -> tuple[str, str]:
    """Host and port. Raises Misconfigured, naming the option, where it is not both."""
    host, colon, port = address.rpartition(":")
    if not colon:
        example = f"127.0.0.1:{port if port.isdecimal() else 8080}"
        raise Misconfigured(f"{option}: {address} is not HOST:PORT; for instance {example}")
    return host, port


def claim(address: str, option: str) -> str:
    """The address with its port settled. Raises Misconfigured, naming the option, when it cannot be listened on."""
    host, port = split(address, option)
    try:
        if not 0 <= int(port) < 65536:  # which the system's resolver would cut to one
            raise ValueError(port)
        family, kind, _, _, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a port just left would seem taken
            listener.bind(target)
            listener.listen()
            return f"{host}:{listener.getsockname()[1]}"
    except (OSError, ValueError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not HOST:PORT"
        raise Misconfigured(
            f"cannot listen on {address}: {reason}; choose another with {option} HOST:PORT (port 0 takes any free one)"
        ) from error


def reach(address: str) -> str:
    """The address to connect to for one that is listened on."""
    host, _, port = address.rpartition(":")
    return f"{EVERYWHERE.get(host, host)}:{port}"
