"""How an entry's variant is written: after its title, and in little space."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r", (?![^\[]*\])")
"""A comma within brackets is part of a value."""

MAX_LENGTH = 44


def titled(title: str, variant: str) -> str:
    """A method's title, with its variant unless that is the default."""
    return title if variant == "default" else f"{title} ({variant})"


def brief(variant: str, max_length: int = MAX_LENGTH) -> str:
    """`variant` if it is short; else its first parts and the number of the others.

    A variant is the name of a preset, then the changed fields.

    Args:
        variant: e.g. `small, first_task.epochs=12, first_task.milestones=[4, 8]`.
        max_length: characters; a longer variant is shortened.
    """
    if len(variant) <= max_length:
        return variant
    first, *others = _SEPARATOR.split(variant)
    shown = [first]
    while others and len(", ".join([*shown, others[0]])) <= max_length - len(" and 10 more"):
        shown.append(others.pop(0))
    return ", ".join(shown) + (f" and {len(others)} more" if others else "")
