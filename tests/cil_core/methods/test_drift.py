"""LwF with drift compensation: what is kept, how it moves, how images are classified."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.learning.drift import linear_map, weighted_drift
from cil_core.learning.feature_pairs import feature_pairs
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes import DriftRecipe

EVERY = pytest.mark.parametrize("compensation", ["none", "sdc", "adc", "ldc", "dpcr"])


def prototype_scores(method: Any, features: torch.Tensor) -> torch.Tensor:
    return method.classifier("prototype").prepare(method)(None, type("", (), {"features": features}))


def test_the_first_task_is_cross_entropy_of_cosines_after_the_final_relu(start: Any) -> None:
    walk = start("drift")
    task = walk.grown(0)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    features = method.net.features(batch.x)
    assert bool((features >= 0).all())
    assert method.net.head.scale.item() == 1
    z = F.normalize(features, dim=1) @ F.normalize(method.net.head.weight, dim=1).T
    losses = method.losses(batch, walk.step(task))
    assert losses["classification"].item() == pytest.approx(F.cross_entropy(z, batch.y).item(), rel=1e-5)
    assert losses.keys() == {"classification"}


def test_later_tasks_distil_old_logits_with_weight_ten_and_temperature_two(start: Any) -> None:
    walk = start("drift")
    task = walk.grown(1)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    logits = method.net(batch.x).logits
    losses = method.losses(batch, walk.step(task))
    target = F.softmax(method.teacher(batch.x).logits / 2, dim=1)
    expected = -10 * (target * F.log_softmax(logits[:, :4] / 2, dim=1)).sum(dim=1).mean()
    assert losses["distillation"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(logits[:, 4:], batch.y - 4).item(), rel=1e-5
    )


@EVERY
def test_images_are_classified_by_the_nearest_prototype_or_the_ridge_rows(
    start: Any, compensation: str
) -> None:
    walk = start("drift", compensation=compensation)
    method = walk.finish(0)
    features = method.raw_features(walk.task(0).train)
    labels = walk.task(0).train.labels
    if compensation == "dpcr":
        x = features.double()
        solution = torch.linalg.solve(x.T @ x + torch.eye(64), x.T @ F.one_hot(labels).double()).T
        expected = (x @ F.normalize(solution, dim=1).T).argmax(dim=1)
    else:
        source = F.normalize(features, dim=1) if compensation == "sdc" else features
        means = torch.stack([source[labels == label].mean(dim=0) for label in range(4)])
        expected = torch.cdist(F.normalize(features, dim=1), F.normalize(means, dim=1)).argmin(dim=1)
    assert (prototype_scores(method, features).argmax(dim=1) == expected).float().mean() > 0.99


def test_without_compensation_old_prototypes_stay(start: Any) -> None:
    walk = start("drift", compensation="none")
    before = walk.finish(0).means.clone()
    assert torch.equal(walk.finish(1).means[:4], before)


def test_sdc_moves_unit_prototypes_by_the_drift_of_unit_features(start: Any) -> None:
    walk = start("drift", compensation="sdc")
    before = walk.finish(0).means.clone()
    assert torch.allclose(before.norm(dim=1), torch.ones(4))
    method = walk.method
    old = method.old_net
    walk.finish(1)
    pairs = feature_pairs(old, method.net, walk.task(1).train).unit()
    moved = before + weighted_drift(pairs, before, 0.3).float()
    assert torch.allclose(method.means[:4], F.normalize(moved, dim=1), atol=1e-4)


@pytest.mark.parametrize("compensation", ["ldc", "dpcr"])
def test_exact_maps_of_ldc_and_dpcr_move_means_alike(start: Any, compensation: str) -> None:
    walk = start("drift", compensation=compensation, solver="exact", ridge_map=1e-6)
    before = walk.finish(0).means.clone()
    method = walk.method
    old = method.old_net
    walk.finish(1)
    mapping = linear_map(feature_pairs(old, method.net, walk.task(1).train), 1e-6)
    assert torch.allclose(method.means[:4].double(), before.double() @ mapping, rtol=1e-3, atol=1e-3)


def test_ldc_trains_its_map_on_pairs_after_the_network(start: Any) -> None:
    walk = start("drift", solver="trained")
    task = walk.grown(1)
    before = walk.method.means.clone()
    phases = []
    for phase in walk.phases(task):
        phases.append(phase.name)
        model = phase.model
    assert phases == ["fit", "map"]
    assert torch.allclose(walk.method.means, before @ model.weight.detach().T)
    assert "map" not in " ".join(walk.method.state_dict())


def test_adc_reports_how_many_attacks_failed(start: Any) -> None:
    walk = start("drift", compensation="adc", attack_steps=0)
    walk.finish(0)
    before = walk.method.means.clone()
    method = walk.finish(1)
    assert 0 <= method.diagnostics["failed_attacks"] <= 4
    assert not torch.equal(method.means[:4], before)


def test_counts_are_those_of_the_images(start: Any) -> None:
    method = start("drift", compensation="dpcr").finish(0)
    labels = start("drift").task(0).train.labels
    assert method.counts.tolist() == labels.bincount().tolist()
    assert len(set(method.counts.tolist())) > 1


@pytest.mark.parametrize(("compensation", "numbers"), [("ldc", 64), ("dpcr", 64 + 64 * 64)])
def test_a_mean_per_class_is_kept_and_for_dpcr_a_second_moment(
    start: Any, compensation: str, numbers: int
) -> None:
    method = start("drift", compensation=compensation).finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 4 * numbers * 4 + 4 * 8


def test_the_first_task_is_augmented_by_autoaugment_unless_the_recipe_says_otherwise(start: Any) -> None:
    walk = start("drift", augmentation="autoaugment")
    phase = next(walk.phases(walk.grown(0)))
    assert phase.data.transform.tokens[-1] == "autoaugment"
    plain = start("drift")
    assert "autoaugment" not in next(plain.phases(plain.grown(0))).data.transform.tokens


def test_autoaugment_is_refused_where_it_is_undefined() -> None:
    four = DATASETS["digits"].model_copy(update={"channels": 4})
    with pytest.raises(InvalidSpec, match="augmentation='dataset' runs on it"):
        DriftRecipe.published().check_track(four, BACKBONES["convnet"])
    DriftRecipe.from_preset("small").check_track(four, BACKBONES["convnet"])


def test_schedules_and_ridge_of_other_data_sets_are_fields() -> None:
    recipe = DriftRecipe.model_validate(
        {"compensation": "dpcr", "first_task": {"lr": 0.001}, "ridge": 2000.0, "distillation_weight": 5.0}
    )
    assert (recipe.first_task.lr, recipe.first_task.epochs, recipe.ridge) == (0.001, 200, 2000)
