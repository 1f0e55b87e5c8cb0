"""Hypothesis strategies: any protocol, budget and track."""

from __future__ import annotations

from hypothesis import strategies as st

from cil_core.spec.jobs import MemoryBudget, Protocol, Track
from cil_core.spec.weights import RESERVED

names = st.from_regex(r"[a-z0-9_]{1,10}(-[a-z0-9_]{1,10}){0,3}", fullmatch=True)
orders = st.integers(0, 2**32 - 1) | st.integers(2, 12).flatmap(
    lambda count: st.permutations(range(count)).map(tuple)
)
protocols = st.builds(
    Protocol, first=st.integers(2, 1000), increment=st.integers(1, 1000), class_order=orders
)
budgets = st.just(MemoryBudget(kind="none")) | st.builds(
    MemoryBudget, kind=st.sampled_from(["total", "per_class", "bytes"]), amount=st.integers(1, 10**15)
)
weights_names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True).filter(
    lambda name: not RESERVED.fullmatch(name)
)
tracks = st.builds(
    Track,
    dataset=names | names.map("folder:{}".format),
    protocol=protocols,
    memory=budgets,
    backbone=st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True),
    holdout=st.integers(0, 50),
    pretrained=st.just("none") | weights_names,
    precision=st.sampled_from(["fp32", "bf16"]),
)
