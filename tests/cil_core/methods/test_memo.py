"""MEMO: what is shared, what is frozen, how it grows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.nets.expandable import auxiliary_labels
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes.expansion import MEMORecipe


def images() -> torch.Tensor:
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def block_of(walk: Any, index: int) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in walk.method.net.extractors[index].state_dict().items()}


def test_the_network_grows_by_one_last_stage_a_task(start: Any) -> None:
    walk = start("memo", track="digits-b4-inc3-m60-resnet32")
    for index, columns in enumerate((64, 128, 192)):
        walk.method.grow(walk.task(index))
        assert walk.method.net.backbone_parameters() == 112_016 - 288 + 351_488 * (
            index + 1
        )  # grey images: 2 × 16 × 9 weights fewer
        assert walk.method.net.head.weight.shape[1] == columns
        assert walk.method.net.features(torch.zeros(2, 1, 32, 32)).shape == (2, columns)
        walk.method.net.auxiliary = None


def test_old_blocks_are_bit_identical_while_the_trunk_learns(start: Any, differing: Any) -> None:
    walk = start("memo")
    walk.finish(0)
    block, trunk = (
        block_of(walk, 0),
        {name: value.clone() for name, value in walk.method.net.trunk.state_dict().items()},
    )
    walk.finish(1)
    assert not differing(block, block_of(walk, 0))
    assert differing(trunk, dict(walk.method.net.trunk.state_dict()))


def test_with_a_fixed_trunk_old_features_of_an_image_never_change(start: Any) -> None:
    walk = start("memo", train_trunk=False)
    walk.finish(0)
    walk.method.net.eval()
    old = walk.method.net.features(images()).detach()
    walk.finish(1)
    walk.method.net.eval()
    assert torch.equal(walk.method.net.features(images())[:, :64], old)
    walk.method.net.train()
    assert not any(part.training for part in walk.method.net.trunk.modules())


def test_a_trunk_that_learns_gets_gradients_through_frozen_blocks(start: Any) -> None:
    walk = start("memo")
    walk.grown(1)
    net = walk.method.net.train()
    net.features(images())[:, :64].sum().backward()
    assert any(
        bool(parameter.grad.abs().sum() > 0)
        for parameter in net.trunk.parameters()
        if parameter.grad is not None
    )
    assert all(parameter.grad is None for parameter in net.extractors[0].parameters())


def test_the_loss_is_two_cross_entropies_over_all_classes_and_over_new_ones_and_rest(start: Any) -> None:
    walk = start("memo", auxiliary_weight=0.5)
    task = walk.grown(1)
    walk.method.net.eval()
    batch = walk.batch(task)
    features = walk.method.net.features(batch.x)
    losses = walk.method.losses(batch, walk.step(task))
    torch.testing.assert_close(
        losses["classification"], F.cross_entropy(walk.method.net.head(features), batch.y)
    )
    guesses = walk.method.net.auxiliary(features[:, 64:])
    assert guesses.shape[1] == task.new + 1
    torch.testing.assert_close(
        losses["auxiliary"], 0.5 * F.cross_entropy(guesses, auxiliary_labels(batch.y, 4))
    )


def test_the_first_task_is_plain_cross_entropy(start: Any) -> None:
    walk = start("memo")
    task = walk.grown(0)
    batch = walk.batch(task)
    walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    assert set(losses) == {"classification"}
    torch.testing.assert_close(
        losses["classification"], F.cross_entropy(walk.method.net(batch.x).logits, batch.y)
    )


def test_new_rows_are_aligned_to_the_norm_of_the_old_ones(start: Any) -> None:
    walk = start("memo")
    walk.finish(0)
    walk.finish(1)
    norms = walk.method.net.head.weight.detach().norm(dim=1)
    torch.testing.assert_close(norms[4:].mean(), norms[:4].mean())
    assert walk.method.diagnostics["alignment"] > 0


def test_a_backbone_that_cannot_be_split_is_refused() -> None:
    whole = BACKBONES["resnet32"].model_copy(update={"name": "monolith", "stages": 1})
    with pytest.raises(
        InvalidSpec, match="MEMO: it shares all stages of a backbone but the last, and 'monolith' has 1"
    ):
        MEMORecipe().check_track(DATASETS["cifar100"], whole)
