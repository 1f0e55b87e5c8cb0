"""A state survives its file bit for bit, and no file makes its reader run code or allocate what it lacks."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cil_core.engine import state_file, state_header
from cil_core.spec.errors import BadState

MIB = 2**20


def written(state: dict[str, Tensor]) -> bytes:
    return b"".join(map(bytes, state_file.dump(state)))


def with_header(header: Any, tensors: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b"CILSTATE" + struct.pack("<I", len(text)) + text + tensors


def test_every_type_and_layout_comes_back_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.randint(0, 2, (2, 3, 4, 5), generator=generator).to(getattr(torch, name))
        for name in state_header.ITEM_BYTES
    }
    state["nan"] = torch.tensor([float("nan"), -0.0, float("inf")])
    state["last"] = torch.rand(2, 3, 4, 5, generator=generator).to(memory_format=torch.channels_last)
    state |= {"scalar": torch.tensor(7), "empty": torch.zeros(0, 3)}
    restored = state_file.load(written(state))
    assert list(restored) == list(state)
    for name, value in state.items():
        back = restored[name]
        assert (back.dtype, back.shape, back.stride()) == (value.dtype, value.shape, value.stride())
        assert back.flatten().view(torch.uint8).tolist() == value.flatten().view(torch.uint8).tolist()


def test_the_file_is_its_header_and_four_bytes_per_float() -> None:
    content = written({"w": torch.arange(3.0)})
    header = b'[["w","float32",[3],false,null]]'
    assert content == b"CILSTATE" + struct.pack("<I", len(header)) + header + struct.pack("<3f", 0, 1, 2)


def test_a_copy_takes_no_bytes_and_is_a_tensor_of_its_own() -> None:
    weight = torch.rand(1000)
    alone, twice = written({"net": weight}), written({"net": weight, "teacher": weight.clone()})
    assert len(twice) - len(alone) < 100
    restored = state_file.load(twice)
    restored["net"] += 1
    assert torch.equal(restored["teacher"], weight)


def test_equal_bytes_of_another_shape_are_no_copy() -> None:
    state = state_file.load(written({"a": torch.zeros(6), "b": torch.zeros(2, 3), "c": torch.zeros(6).int()}))
    assert [(tuple(value.shape), value.dtype) for value in state.values()] == [
        ((6,), torch.float32),
        ((2, 3), torch.float32),
        ((6,), torch.int32),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "starts with CILSTATE"),
        (b"PK\x03\x04" * 10, "starts with CILSTATE"),
        (b"CILSTATE\xff\xff\xff\xff", "claims 4294967295 bytes"),
        (with_header(b"[" * 50), "not valid JSON"),
        (with_header(b"[" * 200_000), "more than 50000"),
        (with_header(b"[1" + b"0" * 10_000 + b"]"), "not valid JSON"),
        (with_header({}), "not a list"),
        (with_header([["w", "float32", [1], False]]), "row of the header"),
        (with_header([["w", "object", [1], False, None]]), "unknown type"),
        (with_header([["w", "float32", [-1], False, None]]), "no valid shape"),
        (with_header([["w", "float32", [True], False, None]]), "no valid shape"),
        (with_header([["w", "float32", [1.0], False, None]]), "no valid shape"),
        (with_header([["w", "float32", [2**39] * 8, False, None]]), "but the file has"),
        (with_header([["w", "uint8", [0], True, None]]), "memory layout"),
        (with_header([["w", "uint8", [0], False, None]] * 2), "repeated"),
        (with_header([["w", "uint8", [1], False, "w"]]), "refers to 'w'"),
        (with_header([["w", "uint8", [1], False, ["v"]]], b"x"), "refers to"),
        (with_header([["a", "uint8", [1], False, None], ["b", "int8", [1], False, "a"]], b"x"), "refers to"),
        (with_header([["w", "uint8", [2], False, None]], b"x"), "but the file has"),
        (with_header([["w", "uint8", [2], False, None]], b"xyz"), "but the file has"),
    ],
)
def test_a_damaged_or_lying_file_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(BadState, match=reason.replace("[", r"\[")):
        state_header.parse(content)


def test_a_claim_of_a_petabyte_allocates_nothing() -> None:
    content = with_header([["w", "float64", [2**39, 2**10], False, None]])
    tracemalloc.start()
    with pytest.raises(BadState):
        state_file.load(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MIB


rows = st.lists(
    st.tuples(
        st.text(max_size=3),
        st.sampled_from([*state_header.ITEM_BYTES, "object"]),
        st.lists(st.integers(-1, 4) | st.just(2**60), max_size=4),
        st.booleans(),
        st.none() | st.text(max_size=3),
    )
    | st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=4), st.lists, max_leaves=5),
    max_size=5,
)


@given(
    st.binary(max_size=200) | st.builds(with_header, st.binary(max_size=60) | rows, st.binary(max_size=40))
)
@example(with_header([["w", "float32", [1], False, None]], b"\0\0\x80\x3f"))
def test_hostile_bytes_are_refused_or_hold_exactly_their_tensors(content: bytes) -> None:
    try:
        entries = state_header.parse(content)
    except BadState:
        return
    state = state_file.load(content)
    assert list(state) == list(entries)
    assert sum(entry.stored_bytes for entry in entries.values()) <= len(content)
    assert all(tuple(state[name].shape) == entry.shape for name, entry in entries.items())


@settings(max_examples=60)
@given(st.data())
def test_one_changed_byte_never_raises_anything_but_bad_state(data: st.DataObject) -> None:
    content = bytearray(
        written({"net": torch.arange(4.0), "teacher": torch.arange(4.0), "n": torch.tensor(3)})
    )
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    try:
        state = state_file.load(bytes(content))
    except BadState:
        return
    assert sum(value.numel() * value.element_size() for value in state.values()) < 2 * len(content)


def test_a_sparse_tensor_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError, match="dense tensors"):
        written({"w": torch.eye(3).to_sparse()})
