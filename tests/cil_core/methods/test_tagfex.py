"""TagFex: which term reaches which network, and what growth inherits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cil_core.learning.contrast import info_nce
from cil_core.nets.agnostic import MergeAttention


@pytest.fixture
def begin(start: Any) -> Callable[..., Any]:
    """A walk of few, large batches."""
    large = {"batch_size": 256}
    return lambda **changes: start("tagfex", first_task=large, later_tasks=large, **changes)


def gradients(walk: Any, task: Any, term: str) -> dict[str, bool]:
    """Whether a term reaches each part of the method."""
    method = walk.method
    next(method.learn(task))
    losses = method.losses(walk.batch(task), walk.step(task))
    method.zero_grad(set_to_none=True)
    losses[term].backward()
    parts = {"agnostic": method.agnostic, "merger": method.merger, "net": method.net}
    return {
        name: any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
        for name, part in parts.items()
        if part is not None
    }


def test_the_first_task_is_classification_and_contrast_of_two_views(begin: Any) -> None:
    walk = begin()
    task = walk.grown(0)
    method = walk.method
    next(method.learn(task))
    method.net.eval()
    method.agnostic.eval()
    batch, step = walk.batch(task), walk.step(task)
    losses = method.losses(batch, step)
    assert losses.keys() == {"classification", "contrast"}
    generator = walk.randomness.on_device("view", 0, step.iteration)
    x = torch.cat([batch.x, method.transform.train(batch.raw, generator)])
    assert not torch.equal(x[:24], x[24:])
    embeddings = method.agnostic.project(method.agnostic.backbone(x))
    assert losses["contrast"].item() == pytest.approx(info_nce(embeddings, 0.2).item(), rel=1e-4)
    expected = torch.nn.functional.cross_entropy(method.net(x).logits, batch.y.repeat(2))
    assert losses["classification"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.95, 1.0])
def test_a_new_branch_lies_between_the_last_one_and_the_agnostic_network(begin: Any, share: float) -> None:
    walk = begin(inheritance=share)
    walk.finish(0)
    last, agnostic = copy.deepcopy(walk.method.net.newest), copy.deepcopy(walk.method.agnostic.backbone)
    walk.method.grow(walk.task(1))
    branch = walk.method.net.newest
    for new, old, other in zip(branch.parameters(), last.parameters(), agnostic.parameters(), strict=True):
        assert torch.allclose(new, share * old + (1 - share) * other, atol=1e-6)
    assert not branch.trunk[1].norm.running_mean.any()


def test_right_after_growth_old_logits_are_those_of_the_old_network(begin: Any) -> None:
    walk = begin()
    walk.finish(0)
    before = copy.deepcopy(walk.method.net).eval()
    task = walk.task(1)
    walk.method.grow(task)
    net = walk.method.net.eval()
    x = walk.batch(task).x
    assert not net.head.weight[:4, 64:].any()
    assert torch.allclose(net(x).logits[:, :4], before(x).logits, atol=1e-5)


def test_preset_pycil_draws_the_new_columns_of_old_rows(begin: Any) -> None:
    walk = begin(blind_old_rows=False)
    walk.grown(1)
    assert bool(walk.method.net.head.weight[:4, 64:].all())


def test_contrast_terms_reach_the_agnostic_network_alone(begin: Any) -> None:
    walk = begin()
    task = walk.grown(1)
    for term in ("contrast", "recall"):
        assert gradients(walk, task, term) == {"agnostic": True, "merger": False, "net": False}


def test_merging_reaches_branch_and_attention_but_not_the_agnostic_network(begin: Any) -> None:
    walk = begin()
    task = walk.grown(1)
    assert gradients(walk, task, "merging") == {"agnostic": False, "merger": True, "net": True}


def test_the_transfer_reaches_the_branch_alone_and_only_where_merging_is_better(begin: Any) -> None:
    walk = begin()
    task = walk.grown(1)
    with torch.no_grad():
        walk.method.net.head.weight.mul_(30)  # confident and wrong
    assert gradients(walk, task, "transfer") == {"agnostic": False, "merger": False, "net": True}
    with torch.no_grad():
        walk.method.net.head.weight.zero_()
        walk.method.net.head.bias[4:] = 50  # better than merging, which is wrong
        walk.method.merger.head.weight.mul_(30)
        walk.method.merger.head.bias.copy_(torch.tensor([0.0, 0.0, 90.0]))
    images = task.train.select(task.train.labels == 4)
    losses = walk.method.losses(next(images.batches(24)), walk.step(task))
    assert losses["merging"] > losses["classification"]
    assert losses["transfer"].item() == 0


def test_a_batch_without_new_images_has_finite_terms(begin: Any) -> None:
    walk = begin()
    task = walk.grown(1)
    next(walk.method.learn(task))
    losses = walk.method.losses(next(walk.method.memory.data.batches(16)), walk.step(task))
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["merging"].item() == losses["transfer"].item() == 0


def test_old_branches_and_the_frozen_copy_are_bit_identical_after_training(
    begin: Any, differing: Any
) -> None:
    walk = begin()
    task = walk.grown(1)

    def frozen() -> dict[str, Tensor]:
        old = walk.method.agnostic.old.state_dict()
        kept = {**walk.method.net.extractors[0].state_dict(), **{f"old.{k}": v for k, v in old.items()}}
        return {name: value.clone() for name, value in kept.items()}

    before = frozen()
    assert len(list(walk.phases(task))) == 1
    assert differing(before, frozen()) == set()


def test_classifying_needs_neither_the_agnostic_network_nor_the_attention(begin: Any) -> None:
    walk = begin()
    walk.finish(0)
    method = walk.finish(1)
    x = walk.batch(walk.task(1)).x
    expected = method.net(x).logits
    method.agnostic = None
    assert method.merger is None
    assert torch.equal(method.net(x).logits, expected)


def test_between_tasks_it_keeps_the_agnostic_network_and_no_frozen_copy(begin: Any) -> None:
    walk = begin()
    walk.finish(0)
    names = walk.finish(1).state_dict()
    assert any(name.startswith("agnostic.backbone") for name in names)
    assert any(name.startswith("agnostic.predictor") for name in names)
    assert not any(".old." in name or name.startswith("merger") for name in names)


def test_attention_treats_the_agnostic_map_as_a_constant_and_heads_see_parts_of_it() -> None:
    generator = torch.Generator().manual_seed(0)
    merge = MergeAttention(16, 3, generator)
    agnostic = torch.randn(2, 16, 2, 2, generator=generator, requires_grad=True)
    specific = torch.randn(2, 16, 2, 2, generator=generator, requires_grad=True)
    merge(agnostic, specific).sum().backward()
    assert agnostic.grad is None
    assert bool(specific.grad.any())


def test_attention_is_that_of_single_heads_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    merge = MergeAttention(16, 3, generator)
    a, s = torch.randn(1, 16, 2, 1, generator=generator), torch.randn(1, 16, 2, 1, generator=generator)
    tokens = [torch.nn.functional.layer_norm(maps.flatten(2).transpose(1, 2)[0], (16,)) for maps in (a, s)]
    query = tokens[1] @ merge.query
    keys = torch.cat([tokens[0] @ merge.agnostic_key, tokens[1] @ merge.key])
    values = torch.cat([tokens[0] @ merge.agnostic_value, tokens[1] @ merge.value])
    parts = []
    for head in range(8):
        part = slice(2 * head, 2 * head + 2)
        weights = (query[:, part] @ keys[:, part].T / 2**0.5).softmax(dim=1)
        parts.append(weights @ values[:, part])
    expected = torch.cat(parts, dim=1).mean(dim=0)
    assert torch.allclose(merge.merged(a, s)[0], expected, atol=1e-5)
