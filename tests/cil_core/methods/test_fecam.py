"""FeCAM: Mahalanobis distances on a frozen extractor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.engine.footprint import measure
from cil_core.nets.heads import CosineHead
from cil_core.nets.mahalanobis import correlations, shrunk
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.validation import check

UNIT = {"form": "unit", "exponent": 1.0, "covariance_shrinkage": 0.0, "shrinks": 1}


def expected_scores(features: Tensor, labels: Tensor, label: int, *, unit: bool) -> Tensor:
    """Negative distances of all features to one class, from inverses and torch's covariance."""
    own = features[labels == label].double()
    if unit:
        points, seen = F.normalize(own, dim=1), F.normalize(features.double(), dim=1)
        mean, matrix = points.mean(dim=0), shrunk(torch.cov(points.T)[None], 1.0, 0.0)
    else:
        mean = F.normalize(own.mean(dim=0).sqrt(), dim=0)
        seen = F.normalize(F.normalize(features.double(), dim=1).sqrt(), dim=1)
        matrix = shrunk(shrunk(torch.cov(own.sqrt().T)[None], 1.0, 1.0), 1.0, 1.0)
    offset = seen - mean
    return -(offset @ torch.linalg.inv(correlations(matrix)[0]) * offset).sum(dim=1)


@pytest.mark.parametrize("form", ["tukey", "unit"])
def test_scores_are_the_papers_distances(start: Any, form: str) -> None:
    walk = start("fecam", **(UNIT if form == "unit" else {})).with_weights()
    for index in (0, 1):
        method = walk.finish(index)
    train = walk.task(1).train
    features = method.raw_features(train)
    scores = method.net.head(features)
    for label in (4, 6):
        expected = expected_scores(features, train.labels, label, unit=form == "unit")
        assert torch.allclose(scores[:, label].double(), expected, rtol=1e-3, atol=1e-5)


def test_old_classes_keep_their_statistics_bit_for_bit(start: Any) -> None:
    walk = start("fecam")
    head = walk.finish(0).net.head
    means, factors = head.means.clone(), head.factors.clone()
    head = walk.finish(1).net.head
    assert torch.equal(head.means[:4], means)
    assert torch.equal(head.factors[:4], factors)


def test_the_split_into_tasks_does_not_matter(start: Any) -> None:
    heads = []
    for track in ("digits-b4-inc3-m0-convnet", "digits-b4-inc1-m0-convnet"):
        walk = start("fecam", track=track).with_weights()
        for index in range(len(walk.stream)):
            walk.finish(index)
        heads.append(walk.method.net.head)
    assert torch.allclose(heads[0].means, heads[1].means, atol=1e-6)
    assert torch.allclose(heads[0].factors, heads[1].factors, atol=1e-5)


def test_the_scale_of_features_does_not_matter(start: Any) -> None:
    scores = []
    for scale in (1.0, 8.0):
        walk = start("fecam", **UNIT).with_weights()
        method, task = walk.finish(0), walk.task(0)
        features = scale * method.raw_features(task.train)
        method.absorb(task, FeatureDataset(features, task.train.labels))
        scores.append(method.net.head(features))
    assert torch.allclose(scores[0], scores[1], rtol=1e-4, atol=1e-5)


def test_a_cosine_head_trains_the_extractor_which_then_never_changes(start: Any, differing: Any) -> None:
    walk = start("fecam")
    task = walk.grown(0)
    assert isinstance(walk.method.net.head, CosineHead)
    assert [phase.name for phase in walk.phases(task)] == ["fit"]
    walk.method.consolidate(task)
    before = {name: value for name, value in walk.state().items() if name.startswith("net.backbone.")}
    walk.finish(1)
    now = walk.state()
    assert differing(before, {name: now[name] for name in before}) == set()
    assert not any(parameter.requires_grad for parameter in walk.method.net.parameters())


def test_with_pretrained_weights_nothing_trains(start: Any) -> None:
    walk = start("fecam", **UNIT).with_weights()
    for index in range(3):
        assert list(walk.method.learn(walk.task(index))) == []
        walk.finish(index)
    assert walk.method.net.classes == 10


@pytest.mark.parametrize(
    ("augmentation", "tokens"), [("dataset", ("crop:1",)), ("autoaugment", ("crop:1", "autoaugment"))]
)
def test_the_first_task_is_augmented_as_the_recipe_says(
    start: Any, augmentation: str, tokens: tuple[str, ...]
) -> None:
    walk = start("fecam", augmentation=augmentation)
    assert next(iter(walk.phases(walk.grown(0)))).data.transform.tokens == tokens


def test_mean_and_factor_of_every_class_are_charged(start: Any) -> None:
    method = start("fecam").with_weights().finish(0)
    backbone = sum(
        value.numel() * value.element_size() for value in method.net.backbone.state_dict().values()
    )
    assert measure(method).kept_bytes == backbone + 4 * 4 * (64 + 64 * 64)


@pytest.mark.parametrize(("shrinkage", "classes"), [(0.0, 0), (1e6, 4)])
def test_classes_that_lose_off_diagonal_shrinkage_are_counted(
    start: Any, shrinkage: float, classes: int
) -> None:
    """Equal large covariances everywhere beside small variances are no covariance matrix."""
    method = start("fecam", covariance_shrinkage=shrinkage).with_weights().finish(0)
    assert method.diagnostics["classes_shrunk_by_variance_alone"] == classes


def test_roots_of_signed_features_are_refused() -> None:
    track = Track.from_slug("imagenet100-b0-inc10-m0-vit_b16-imagenet1k")
    with pytest.raises(InvalidSpec, match=r"features that are never negative.*preset='pretrained'"):
        check(BY_NAME["fecam"].published(), track)
    check(BY_NAME["fecam"].from_preset("pretrained"), track)
