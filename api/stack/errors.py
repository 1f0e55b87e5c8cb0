"""Why the embedded stack cannot start."""

from __future__ import annotations


class CannotStartError(Exception):
    """The stack cannot be started; the message says why and what to do."""
