"""TCP ports and addresses of the embedded stack: a free one, a taken one, and how to write them in a URL."""

from __future__ import annotations

import socket

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens everywhere is reached here at the loopback address


class PortTakenError(Exception):
    """The address cannot be listened on; the message says why."""


def claim(host: str, port: int) -> int:
    """The port if it can be listened on; for 0, a free one.

    Raises:
        PortTakenError: it is taken, or `host` is no address of this machine.
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
    """The address at which a service listening there is reached from this machine."""
    reached = _EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
