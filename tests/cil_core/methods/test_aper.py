"""APER: the first task tunes a transformer; class means over original and tuned features classify."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.learning.prototypes import mean_features
from cil_core.nets.heads import CosineHead
from cil_core.nets.sites import Adapters
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import APERRecipe
from cil_core.spec.validation import check

VARIANTS = ["small", "small-ssf", "small-vpt-shallow", "small-vpt-deep", "small-finetune"]
WIDTH, BLOCKS = 32, 4


def trained(phase: Any) -> int:
    return sum(parameter.numel() for parameter in phase.model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(
    ("preset", "numbers"),
    [
        ("small", BLOCKS * (2 * WIDTH * 8 + 8 + WIDTH)),
        ("small-ssf", BLOCKS * 2 * 11 * WIDTH + 4 * WIDTH),
        ("small-vpt-shallow", 5 * WIDTH),
        ("small-vpt-deep", BLOCKS * 5 * WIDTH),
        ("small-finetune", 51_616),
    ],
)
def test_the_first_task_trains_the_tuning_and_the_head_alone(
    start_pretrained: Any, preset: str, numbers: int
) -> None:
    walk = start_pretrained("aper", preset=preset)
    phase = next(walk.phases(walk.grown(0)))
    assert trained(phase) == numbers + 5 * WIDTH + 1  # rows of the head, and its scale


@pytest.mark.parametrize("preset", VARIANTS)
def test_after_the_first_task_only_rows_are_added(start_pretrained: Any, differing: Any, preset: str) -> None:
    walk = start_pretrained("aper", preset=preset)
    walk.finish(0)
    before = walk.state()
    rows = before.pop("net.head.weight")
    for index in (1, 2):
        assert list(walk.phases(walk.task(index))) == []
        walk.method.consolidate(walk.task(index))
    after = walk.state()
    assert torch.equal(after.pop("net.head.weight")[:5], rows)
    assert differing(before, after) == set()
    assert not any(parameter.requires_grad for parameter in walk.method.net.parameters())


def test_the_original_is_the_published_network_bit_for_bit(start_pretrained: Any) -> None:
    walk = start_pretrained("aper")
    x = walk.batch(walk.task(0)).x
    published = walk.method.net.backbone(x)
    walk.finish(0)
    with torch.no_grad():
        assert torch.equal(walk.method.net.features(x)[:, :WIDTH], published)
        assert not torch.equal(walk.method.net.features(x)[:, WIDTH:], published)


@pytest.mark.parametrize("preset", ["small", "small-finetune"])
def test_without_training_it_predicts_as_simplecil_does(start_pretrained: Any, preset: str) -> None:
    """A fresh adapter is neutral, so both branches are the original."""
    walk = start_pretrained("aper", preset=preset)
    task = walk.grown(0)
    walk.method.net.join()
    walk.method.consolidate(task)
    x = walk.batch(task, 64).x
    features = walk.method.net.features(x)
    assert torch.equal(features[:, :WIDTH], features[:, WIDTH:])
    means = mean_features(
        walk.method.raw_features(task.train)[:, :WIDTH], task.train.labels, task.known, task.seen
    )
    simple = torch.nn.functional.cosine_similarity(features[:, None, :WIDTH], means, dim=2)
    assert torch.allclose(walk.method.net(x).logits, simple, atol=1e-6)


def test_rows_are_means_without_a_norm_per_branch(start_pretrained: Any) -> None:
    walk = start_pretrained("aper")
    for index in range(3):
        walk.finish(index)
    for index, (low, high) in enumerate(((0, 5), (5, 8), (8, 10))):
        train = walk.task(index).train
        features = walk.method.raw_features(train)
        assert features.shape[1] == 2 * WIDTH
        expected = [features[train.labels == label].mean(dim=0) for label in range(low, high)]
        assert torch.allclose(walk.method.net.head.weight[low:high], torch.stack(expected), atol=1e-5)


def test_rows_of_later_classes_do_not_depend_on_the_split(start_pretrained: Any) -> None:
    rows = []
    for increment in (5, 1):
        track = f"digits-b5-inc{increment}-m0-vit_8px-holdout50-letters"
        walk = start_pretrained("aper", track=track)
        for index in range(len(walk.stream)):
            walk.finish(index)
        rows.append(walk.method.net.head.weight)
    assert torch.allclose(rows[0], rows[1], atol=1e-5)


def test_the_cosine_of_two_branches_by_hand() -> None:
    head = CosineHead(4)
    head.append(torch.tensor([[3.0, 4.0, 5.0, 0.0]]))
    assert head(torch.tensor([[3.0, 4.0, 0.0, 5.0]])).item() == pytest.approx(0.5)


def test_site_variants_keep_one_network(start_pretrained: Any) -> None:
    """Their second branch shares the weights of the first; full tuning keeps a second network."""
    kept = {
        preset: start_pretrained("aper", preset=preset).finish(0).net.backbone_parameters()
        for preset in ("small", "small-finetune")
    }
    assert kept["small-finetune"] == 2 * 51_616
    assert kept["small"] == 51_616 + BLOCKS * (2 * WIDTH * 8 + 8 + WIDTH)


def test_dropout_acts_in_training_only(start_pretrained: Any) -> None:
    walk = start_pretrained("aper")
    task = walk.grown(0)
    (adapters,) = walk.method.net.sites
    assert isinstance(adapters, Adapters)
    torch.nn.init.normal_(adapters.up, generator=torch.Generator().manual_seed(1))
    batch, step = walk.batch(task), walk.step(task)
    walk.method.net.train()
    first, again = (walk.method.losses(batch, step)["classification"].item() for _ in range(2))
    walk.method.net.eval()
    assert first == again != walk.method.losses(batch, step)["classification"].item()


@pytest.mark.parametrize(
    "slug", ["digits-b0-inc2-m0-convnet", "cifar224-b0-inc10-m0-efficientnet_lite0-in1k"]
)
def test_a_track_without_a_pretrained_transformer_is_refused(slug: str) -> None:
    with pytest.raises(InvalidSpec, match="APER"):
        check(APERRecipe.published(), Track.from_slug(slug))


def test_weights_in_another_librarys_network_are_refused() -> None:
    track = Track.from_slug("imagenet100-b0-inc10-m0-vit_b16-imagenet1k")
    with pytest.raises(InvalidSpec, match="timm"):
        check(APERRecipe.published(), track)
    check(APERRecipe.published(), Track.from_slug("cifar224-b0-inc10-m0-vit_b16-augreg_in21k"))
