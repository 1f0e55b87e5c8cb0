"""Protocols and memory budgets: sizes of tasks, quotas, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cil_core.spec.jobs import MemoryBudget, Protocol
from tests.cil_core.spec.strategies import budgets


@pytest.mark.parametrize(
    ("first", "increment", "classes", "sizes"),
    [
        (20, 20, 100, (20,) * 5),
        (50, 10, 100, (50, 10, 10, 10, 10, 10)),
        (4, 4, 10, (4, 4, 2)),
        (2, 1, 5, (2, 1, 1, 1)),
        (10, 10, 10, (10,)),
        (100, 20, 200, (100, 20, 20, 20, 20, 20)),
        (50, 30, 100, (50, 30, 20)),
    ],
)
def test_classes_arrive_in_tasks_of_these_sizes(
    first: int, increment: int, classes: int, sizes: tuple[int, ...]
) -> None:
    assert Protocol(first=first, increment=increment).task_sizes(classes) == sizes


@given(first=st.integers(2, 300), increment=st.integers(1, 300), classes=st.integers(2, 1000))
def test_every_class_arrives_once(first: int, increment: int, classes: int) -> None:
    protocol = Protocol(first=first, increment=increment)
    if first > classes:
        with pytest.raises(ValueError, match=f"needs {first} classes; the dataset has {classes}"):
            protocol.task_sizes(classes)
        return
    sizes = protocol.task_sizes(classes)
    assert sum(sizes) == classes
    assert len(sizes) == 1 + math.ceil((classes - first) / increment)
    assert all(size == increment for size in sizes[1:-1])
    assert all(1 <= size <= increment for size in sizes[1:])


@pytest.mark.parametrize("order", [(), (0,), (0, 0), (1, 2), (0, 1, 3), -1, 2**32])
def test_an_order_that_does_not_name_each_class_once_is_refused(order: Any) -> None:
    with pytest.raises(ValidationError, match=r"names each of the classes|a class-order seed lies in"):
        Protocol(first=2, increment=2, class_order=order)


@pytest.mark.parametrize(
    ("budget", "seen", "quota"),
    [
        (MemoryBudget(kind="none"), 10, 0),
        (MemoryBudget(kind="total", amount=2000), 100, 20),
        (MemoryBudget(kind="total", amount=2000), 60, 33),
        (MemoryBudget(kind="total", amount=5), 10, 0),
        (MemoryBudget(kind="per_class", amount=20), 60, 20),
        (MemoryBudget(kind="bytes", amount=6_144_000), 100, 20),
        (MemoryBudget(kind="bytes", amount=6_143_999), 100, 19),
    ],
)
def test_quotas_are_rounded_down(budget: MemoryBudget, seen: int, quota: int) -> None:
    assert budget.quota(seen, bytes_per_exemplar=3072) == quota


@given(budget=budgets, seen=st.integers(1, 1000), size=st.integers(1, 10**6))
def test_a_budget_is_never_exceeded(budget: MemoryBudget, seen: int, size: int) -> None:
    kept = budget.quota(seen, size) * seen
    limit = {
        "none": 0,
        "total": budget.amount,
        "per_class": budget.amount * seen,
        "bytes": budget.amount // size,
    }[budget.kind]
    assert 0 <= kept <= limit


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("none", 5), ("total", 0), ("per_class", 0), ("bytes", 0), ("total", -1), ("some", 5)],
)
def test_a_budget_that_contradicts_itself_is_refused(kind: Any, amount: int) -> None:
    with pytest.raises(ValidationError):
        MemoryBudget(kind=kind, amount=amount)
