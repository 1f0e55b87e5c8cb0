"""A cell of a CSV file that no spreadsheet takes for a formula."""

from __future__ import annotations

from typing import TypeVar

Cell = TypeVar("Cell")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(cell: Cell) -> Cell | str:
    """The same cell, with an apostrophe before a text that would be a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
