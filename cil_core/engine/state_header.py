"""The header of a state file: what a method keeps, counted without PyTorch and without running its code.

    CILSTATE | length of the header, uint32 | header, JSON | tensors, one after another

Decisions:
    * The header is the only part that the service interprets, and `json` is its only parser: a state file
      cannot run code.
    * Lengths are exact. Header and tensors fill the file, so its length is the number of bytes that a method
      keeps.
    * A tensor that equals an earlier one refers to it and takes no bytes: a teacher, which is a copy of the
      network, costs nothing.
    * Sizes are checked before anything of that size is read: a short file cannot make its reader allocate
      gigabytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from cil_core.spec.errors import BadState

MAGIC = b"CILSTATE"
MAX_HEADER_BYTES = 4 * 2**20
MAX_ENTRIES = 50_000
MAX_NAME = 300
MAX_DIMENSIONS = 8
ITEM_BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
"""Bytes per number, by the name of PyTorch's type."""

_LENGTH = struct.Struct("<I")
_START = len(MAGIC) + _LENGTH.size


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """One tensor of a state.

    Attributes:
        name: its name in the state dict.
        dtype: name of its type, a key of `ITEM_BYTES`.
        shape: its shape.
        channels_last: whether its four dimensions are stored as (N, H, W, C).
        same_as: name of the earlier tensor that it equals, or None.
        offset: position of its first byte in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    channels_last: bool = False
    same_as: str | None = None
    offset: int = 0

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes that it takes in the file."""
        return 0 if self.same_as else self.numbers * ITEM_BYTES[self.dtype]


def encode(entries: list[HeaderRow]) -> bytes:
    """The start of a state file: everything before its tensors."""
    rows = [[each.name, each.dtype, each.shape, each.channels_last, each.same_as] for each in entries]
    header = json.dumps(rows, separators=(",", ":")).encode()
    return MAGIC + _LENGTH.pack(len(header)) + header


def parse(content: Any) -> dict[str, HeaderRow]:
    """The entries of a state file, in the order of its tensors.

    Args:
        content: the whole file; bytes, or anything with a length that slices to bytes, such as a memory map.

    Returns:
        Entries by name, with their offsets.

    Raises:
        BadState: the content is no state file, or its lengths do not add up.
    """
    length = len(content)
    if length < _START or content[: len(MAGIC)] != MAGIC:
        raise BadState(f"a state file starts with {MAGIC.decode()} and the length of its header")
    (header_length,) = _LENGTH.unpack(content[len(MAGIC) : _START])
    longest = min(MAX_HEADER_BYTES, length - _START)
    if header_length > longest:
        raise BadState(f"the header claims {header_length} bytes; at most {longest} are possible here")
    rows = _rows(content[_START : _START + header_length])
    entries: dict[str, HeaderRow] = {}
    offset = _START + header_length
    for row in rows:
        entry = replace(_entry(row, entries), offset=offset)
        entries[entry.name] = entry
        offset += entry.stored_bytes
    if offset != length:
        raise BadState(f"header and tensors take {offset} bytes, but the file has {length}")
    return entries


def _rows(header: bytes) -> list[Any]:
    if header.count(b"[") > 2 * MAX_ENTRIES + 1:
        raise BadState(f"the header lists more than {MAX_ENTRIES} tensors")
    try:
        rows = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise BadState(f"the header is not valid JSON: {type(error).__name__}") from None
    if not isinstance(rows, list):
        raise BadState(f"the header is a JSON {type(rows).__name__}, not a list of tensors")
    return rows


def _entry(row: Any, earlier: Mapping[str, HeaderRow]) -> HeaderRow:
    """The tensor of one row, checked against the rows before it."""
    if not isinstance(row, list) or len(row) != 5:
        raise BadState("a row of the header is not [name, type, shape, channels last, same as]")
    name, dtype, shape, channels_last, same_as = row
    if not isinstance(name, str) or len(name) > MAX_NAME or name in earlier:
        raise BadState(f"tensor name {_shown(name)} is repeated, too long or no text")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise BadState(f"tensor {_shown(name)} has the unknown type {_shown(dtype)}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(map(_is_side, shape)):
        raise BadState(f"tensor {_shown(name)} has no valid shape")
    if not isinstance(channels_last, bool) or (channels_last and len(shape) != 4):
        raise BadState(f"tensor {_shown(name)} has no valid memory layout")
    entry = HeaderRow(name, dtype, tuple(shape), channels_last)
    if same_as is None:
        return entry
    original = earlier.get(same_as) if isinstance(same_as, str) else None
    if original is None or original.same_as or original.shape != entry.shape or original.dtype != dtype:
        raise BadState(f"tensor {_shown(name)} refers to {_shown(same_as)}, which it cannot equal")
    return replace(entry, same_as=same_as)


def _is_side(side: Any) -> bool:
    return type(side) is int and 0 <= side < 2**40


def _shown(value: Any) -> str:
    return ascii(value)[:80]
