"""FeTrIL: a frozen extractor, and a head on translated features."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.engine.footprint import measure
from cil_core.learning.prototypes import most_similar
from cil_core.nets.heads import LinearHead
from cil_core.spec.recipes import BY_NAME


def test_the_extractor_is_bit_identical_after_the_first_task_statistics_included(
    start: Any, differing: Any
) -> None:
    walk = start("fetril")
    walk.finish(0)
    backbone = {name: value for name, value in walk.state().items() if name.startswith("net.backbone.")}
    for index in (1, 2):
        walk.finish(index)
        now = walk.state()
        assert differing(backbone, {name: now[name] for name in backbone}) == set()
    assert not any(parameter.requires_grad for parameter in walk.method.net.backbone.parameters())


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_the_head_is_trained_on_real_new_and_translated_old_features(start: Any, similarity: Any) -> None:
    walk = start("fetril", similarity=similarity)
    task = walk.grown(1)
    phase = next(iter(walk.phases(task)))
    assert phase.model is walk.method.net.head
    real = walk.method.raw_features(task.train)
    data, means = phase.data, walk.method.means
    assert torch.equal(data.features[: len(real)], real)
    donors = most_similar(means[:4], means[4:], similarity) + 4
    for label, donor in enumerate(donors.tolist()):
        made, given = data.features[data.labels == label], real[task.train.labels == donor]
        assert len(made) == len(given)
        assert torch.allclose(made.mean(dim=0), means[label], atol=1e-4)
        assert torch.allclose(torch.cov(made.T), torch.cov(given.T), atol=1e-4)


def test_the_head_starts_from_the_last_tasks(start: Any) -> None:
    walk = start("fetril")
    before = walk.finish(0).net.head.weight.clone()
    walk.method.grow(walk.task(1))
    head: LinearHead = walk.method.net.head
    assert torch.equal(head.weight[:4], before)
    assert head.classes == 7


def test_one_mean_per_class_is_kept_besides_the_network(start: Any) -> None:
    walk = start("fetril")
    walk.finish(0)
    method = walk.finish(1)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert method.means.shape == (7, 64)
    assert measure(method).kept_bytes == network + 7 * 64 * 4


def test_means_are_those_of_the_frozen_extractor(start: Any) -> None:
    walk = start("fetril")
    method, train = walk.finish(0), walk.task(0).train
    features = method.raw_features(train)
    assert torch.allclose(
        method.means,
        torch.stack([features[train.labels == label].mean(dim=0) for label in range(4)]),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("augmentation", "tokens"), [("dataset", ("crop:1",)), ("strong", ("crop:1", "autoaugment", "cutout:4"))]
)
def test_the_extractor_is_trained_with_the_augmentations_the_recipe_says(
    start: Any, augmentation: str, tokens: tuple[str, ...]
) -> None:
    walk = start("fetril", augmentation=augmentation)
    phase = next(iter(walk.phases(walk.grown(0))))
    assert phase.data.transform.tokens == tokens


def test_presets_differ_in_how_classes_are_paired() -> None:
    assert BY_NAME["fetril"]().similarity == "cosine"  # type: ignore[call-arg,attr-defined]
    assert BY_NAME["fetril"].from_preset("paper").similarity == "euclidean"  # type: ignore[attr-defined]


def test_with_pretrained_weights_only_the_head_trains_from_the_first_task_on(
    start: Any, differing: Any
) -> None:
    walk = start("fetril").with_weights()
    before = {name: value for name, value in walk.state().items() if name.startswith("net.backbone.")}
    task = walk.grown(0)
    (phase,) = list(walk.phases(task))
    assert (phase.name, phase.model) == ("classifier", walk.method.net.head)
    assert torch.equal(phase.data.features, walk.method.raw_features(task.train))
    assert walk.method.means.shape == (4, 64)
    walk.finish(1)
    now = walk.state()
    assert differing(before, {name: now[name] for name in before}) == set()


def test_a_head_of_unit_norm_features_ignores_their_length(start: Any) -> None:
    head = start("fetril", normalise=True).with_weights().finish(0).net.head
    features = torch.rand(20, 64, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(head(features), head(5 * features), atol=1e-5)
    expected = features / features.norm(dim=1, keepdim=True) @ head.weight.T + head.bias
    assert torch.allclose(head(features), expected, atol=1e-5)


def test_stored_recipes_without_normalisation_keep_their_hash() -> None:
    recipe = BY_NAME["fetril"].published()
    assert "normalise" not in recipe.model_dump()
    assert BY_NAME["fetril"].from_preset("pretrained").model_dump()["normalise"] is True
