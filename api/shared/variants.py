"""How an entry's variant is written: after its title, and where there is little room."""

from __future__ import annotations

import re

_BETWEEN = re.compile(r", (?![^\[]*\])")  # a comma within brackets is part of a value
ROOM = 44


def titled(title: str, variant: str) -> str:
    """A method's title, with its variant unless that is the default."""
    return title if variant == "default" else f"{title} ({variant})"


def brief(variant: str, most: int = ROOM) -> str:
    """`variant`, or its first parts and how many more there are: a preset's name, then changed fields.

    Args:
        variant: e.g. `small, first_task.epochs=12, first_task.milestones=[4, 8]`.
        most: characters from which on it is shortened.
    """
    if len(variant) <= most:
        return variant
    first, *others = _BETWEEN.split(variant)
    shown = [first]
    while others and len(", ".join([*shown, others[0]])) <= most - len(" and 10 more"):
        shown.append(others.pop(0))
    return ", ".join(shown) + (f" and {len(others)} more" if others else "")
