"""Heads that grow: what is new is fresh, what was there stays bit for bit."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.nets.heads import CosineHead, LinearHead, fresh_rows
from cil_core.nets.proxies import ProxyHead

both = pytest.mark.parametrize("kind", [LinearHead, CosineHead])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@both
@pytest.mark.parametrize("new", [1, 3, 8])
def test_growing_keeps_old_rows_bit_for_bit(kind: Any, new: int) -> None:
    head = kind(16)
    head.grow(5, generator())
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.grow(new, generator(1))
    assert head.classes == 5 + new
    assert head.weight.shape == (5 + new, 16)
    for name, value in before.items():
        assert torch.equal(
            head.state_dict()[name][: len(value)] if value.dim() else head.state_dict()[name], value
        )


@both
def test_grown_rows_can_be_trained(kind: Any) -> None:
    head = kind(16)
    head.grow(2, generator())
    head.grow(3, generator(1))
    head(torch.ones(2, 16))[:, 4].sum().backward()
    assert head.weight.grad[4].abs().max() > 0


def test_new_biases_are_zero() -> None:
    head = LinearHead(16)
    head.grow(2, generator())
    with torch.no_grad():
        head.bias.fill_(7)  # type: ignore[union-attr]
    head.grow(3, generator())
    assert head.bias.tolist() == [7, 7, 0, 0, 0]  # type: ignore[union-attr]


def test_fresh_rows_are_kaiming_uniform_with_linear_gain() -> None:
    rows, bound = fresh_rows(1000, 48, generator()), math.sqrt(3 / 48)
    assert 0.99 * bound < rows.abs().max() <= bound
    assert rows.var().item() == pytest.approx(1 / 48, rel=0.02)
    assert torch.equal(rows, fresh_rows(1000, 48, generator()))


def test_widening_keeps_the_old_block_and_ignores_new_inputs_at_zero() -> None:
    head = LinearHead(16)
    head.grow(4, generator())
    x = torch.randn(3, 16, generator=generator(2))
    before, weight = head(x), head.weight.clone()
    head.widen(8, generator(3))
    assert torch.equal(head.weight[:, :16], weight)
    torch.testing.assert_close(head(F.pad(x, (0, 8))), before)


def test_cosine_logits_by_hand() -> None:
    head = CosineHead(2)
    head.append(torch.tensor([[3.0, 0], [1, 1]]))
    with torch.no_grad():
        head.scale.fill_(10)
    assert head(torch.tensor([[0.0, 5]])).tolist()[0] == pytest.approx([0, 10 / math.sqrt(2)])


def test_cosine_logits_depend_on_directions_alone() -> None:
    head = CosineHead(16)
    head.grow(4, generator())
    x = torch.randn(3, 16, generator=generator(2))
    before = head(x)
    with torch.no_grad():
        head.weight *= torch.tensor([0.1, 2, 30, 4])[:, None]
    assert torch.allclose(head(9 * x), before, atol=1e-6)
    assert before.abs().max() <= head.scale


@pytest.mark.parametrize("head", [CosineHead(48), ProxyHead(48)])
def test_fresh_rows_of_cosine_heads_are_uniform_within_one_over_the_root_of_their_width(head: Any) -> None:
    head.grow(1000, generator())
    rows = head.weight if isinstance(head, CosineHead) else head.new
    assert rows.abs().max().item() == pytest.approx(1 / math.sqrt(48), rel=1e-3)
    assert rows.std().item() == pytest.approx(1 / math.sqrt(3 * 48), rel=0.02)
