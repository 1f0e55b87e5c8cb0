"""A method's state dict as bytes, and back: bit for bit and with each tensor's memory layout.

`state_header` describes the format. Unlike PyTorch's own files these contain no pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cil_core.engine.state_header import ITEM_BYTES, HeaderRow, encode, parse


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor as it is written: its entry, and its numbers in the order of the file."""

    entry: HeaderRow
    numbers: Tensor

    @property
    def buffer(self) -> memoryview:
        return self.numbers.view(torch.uint8).numpy().data if self.numbers.numel() else memoryview(b"")


def dump(state: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The parts of a state file, to be written one after another.

    Args:
        state: the state dict of a method.

    Raises:
        TypeError: a value is no dense tensor of a type in `ITEM_BYTES`.
    """
    stored: list[_Stored] = []
    known: dict[tuple[object, ...], str] = {}
    for name, value in state.items():
        one = _stored(name, value)
        digest = hashlib.sha256(one.buffer).digest()
        key = (one.entry.dtype, one.entry.shape, one.entry.channels_last, digest)
        original = known.setdefault(key, name)
        if original != name and one.entry.numbers:
            one = _Stored(replace(one.entry, same_as=original), one.numbers[:0])
        stored.append(one)
    yield encode([one.entry for one in stored])
    for one in stored:
        yield one.buffer


def load(content: Any) -> dict[str, Tensor]:
    """The state dict of a state file, on the CPU.

    Args:
        content: as for `state_header.parse`; tensors are copies of its bytes.

    Raises:
        BadState: the content is no state file.
    """
    state: dict[str, Tensor] = {}
    for entry in parse(content).values():
        if entry.same_as:
            state[entry.name] = state[entry.same_as].clone()
            continue
        raw = bytearray(content[entry.offset : entry.offset + entry.stored_bytes])
        dtype = getattr(torch, entry.dtype)
        numbers = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        state[entry.name] = _shaped(numbers, entry)
    return state


def _stored(name: str, value: Tensor) -> _Stored:
    dtype = str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__
    if dtype not in ITEM_BYTES or value.layout != torch.strided:
        raise TypeError(f"{name!r} is a {dtype}; a state holds dense tensors of {', '.join(ITEM_BYTES)}")
    tensor = value.detach().cpu()
    last = tensor.ndim == 4 and not tensor.is_contiguous()
    last = last and tensor.is_contiguous(memory_format=torch.channels_last)
    ordered = tensor.permute(0, 2, 3, 1) if last else tensor
    return _Stored(HeaderRow(name, dtype, tuple(tensor.shape), last), ordered.contiguous().reshape(-1))


def _shaped(numbers: Tensor, entry: HeaderRow) -> Tensor:
    if not entry.channels_last:
        return numbers.reshape(entry.shape)
    n, c, h, w = entry.shape
    return numbers.reshape(n, h, w, c).permute(0, 3, 1, 2)
