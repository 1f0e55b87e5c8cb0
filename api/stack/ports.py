"""TCP ports and addresses of the embedded stack, and their URLs."""

from __future__ import annotations

import socket

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a service on all addresses is reached at the loopback one


class PortTakenError(Exception):
    """A service cannot listen on the address; the message says why."""


def claim(host: str, port: int) -> int:
    """The port if a service can listen on it; for 0, a free one.

    Raises:
        PortTakenError: the port is taken, or `host` is not an address of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTakenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        found: int = probe.getsockname()[1]
    return found


def url(host: str, port: int) -> str:
    """The URL of a service that listens there, as seen from this machine."""
    reached = _EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
