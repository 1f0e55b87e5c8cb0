"""Estimates of drift against hand-computed values, exact solutions and the faults of public codes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.learning.drift import (
    Attack,
    LinearFit,
    _attacked,
    _pixel_range,
    adversarial_drift,
    linear_map,
    mapped,
    ridge_rows,
    weighted_drift,
)
from cil_core.learning.feature_pairs import FeaturePairs
from cil_core.learning.moments import Moments, class_moments
from cil_core.nets.backbones import build_backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.catalog import DATASETS

DIGITS = DATASETS["digits"]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


OLD, MEANS = random(50, 4), random(3, 4, seed=1)
LABELS = torch.arange(50) % 3


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 100.0])
def test_a_rigid_drift_moves_every_prototype_by_exactly_that(sigma: float) -> None:
    shift = torch.tensor([1.0, -2, 0.5, 3], dtype=torch.float64)
    drift = weighted_drift(FeaturePairs(OLD, OLD + shift), MEANS, sigma)
    assert (drift - shift).abs().max() < 1e-14


def test_sdc_by_hand() -> None:
    pairs = FeaturePairs(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    assert weighted_drift(pairs, torch.zeros(1, 1), 1.0).item() == pytest.approx(1.37754, abs=1e-5)


def test_far_images_of_raw_features_do_not_count_as_much_as_near_ones() -> None:
    pairs = FeaturePairs(torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [10.0]]))
    assert weighted_drift(pairs, torch.zeros(1, 1), 0.3).item() == pytest.approx(1)  # no floor under weights


def test_prototypes_far_from_every_image_have_a_finite_drift() -> None:
    drift = weighted_drift(FeaturePairs(OLD, OLD + 1), 1000 * MEANS, 1e-3)
    assert torch.allclose(drift, torch.ones_like(drift))  # 0 / 0 without the softmax


def test_the_order_of_images_changes_no_estimate() -> None:
    new = random(50, 4, seed=2)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    straight, mixed = FeaturePairs(OLD, new), FeaturePairs(OLD[order], new[order])
    assert torch.allclose(weighted_drift(straight, MEANS, 0.3), weighted_drift(mixed, MEANS, 0.3), atol=1e-12)
    assert torch.allclose(linear_map(straight, 1e-9), linear_map(mixed, 1e-9), atol=1e-10)


def test_shuffled_pairs_would_give_another_drift() -> None:
    shift = torch.tensor([0.38, 0, 0, 0], dtype=torch.float64)
    shuffled = OLD[torch.randperm(50, generator=torch.Generator().manual_seed(0))] + shift
    error = weighted_drift(FeaturePairs(OLD, shuffled), MEANS, 0.3) - shift
    assert error.norm(dim=1).mean() > shift.norm()


def test_a_linear_drift_is_recovered() -> None:
    truth = random(4, 4, seed=3)
    assert (linear_map(FeaturePairs(OLD, OLD @ truth), 1e-20) - truth).abs().max() < 1e-11


def test_without_drift_the_map_is_the_identity_on_the_space_of_the_images() -> None:
    few = random(2, 4, seed=4)
    mapping = linear_map(FeaturePairs(few, few), 1e-12)
    assert torch.allclose(few @ mapping, few, atol=1e-9)


def test_float32_features_are_solved_in_float64() -> None:
    wide = (OLD * torch.tensor([1.0, 1e-3, 1e-3, 1e-3])).float()
    truth = random(4, 4, seed=3)
    pairs = FeaturePairs(wide, (wide.double() @ truth).float())
    assert (linear_map(pairs, 1e-20) - truth).abs().max() < 1e-2  # normal equations in float32 lose it


def test_the_trained_map_starts_within_the_bounds_of_a_linear_layer_and_reaches_the_exact_one() -> None:
    truth = random(4, 4, seed=3)
    pairs = FeaturePairs(OLD.float(), (OLD @ truth).float())
    fit = LinearFit(pairs, torch.Generator().manual_seed(0))
    assert fit.model.weight.abs().max() <= 0.5
    optimizer = torch.optim.Adam(fit.model.parameters(), lr=0.02)
    for _ in range(600):
        batch = next(fit.data.batches(50, torch.Generator().manual_seed(1)))
        optimizer.zero_grad()
        loss = fit.loss(batch, None)["map"]  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-6
    assert torch.allclose(fit.model.weight.T.double(), linear_map(pairs, 1e-9), atol=1e-3)


def kept(features: Tensor, labels: Tensor, classes: int) -> Moments:
    return class_moments(features, labels, 0, classes)


def ridge(features: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Unit rows of a ridge regression on features, written with one-hot targets."""
    targets = torch.nn.functional.one_hot(labels).double()
    solution = torch.linalg.inv(features.T @ features + weight * torch.eye(4)) @ features.T @ targets
    return torch.nn.functional.normalize(solution.T, dim=1)


def test_rows_of_the_first_task_are_those_of_a_ridge_regression() -> None:
    assert torch.allclose(ridge_rows(kept(OLD, LABELS, 3), 0.7), ridge(OLD, LABELS, 0.7), atol=1e-12)


def test_classes_of_unequal_size_count_by_their_images() -> None:
    labels = torch.tensor([0] * 5 + [1] * 15 + [2] * 30)
    assert torch.allclose(ridge_rows(kept(OLD, labels, 3), 0.7), ridge(OLD, labels, 0.7), atol=1e-12)


def test_mapped_moments_give_the_regression_on_mapped_old_and_real_new_features() -> None:
    mapping, new = random(4, 4, seed=5), random(20, 4, seed=6)
    old = mapped(kept(OLD, LABELS, 3), mapping, 0.0)
    fresh = class_moments(new, torch.full((20,), 3), 3, 4)
    everything = Moments(*(torch.cat(parts) for parts in zip(old, fresh, strict=True)))
    features = torch.cat([OLD @ mapping, new])
    labels = torch.cat([LABELS, torch.full((20,), 3)])
    assert torch.allclose(ridge_rows(everything, 0.7), ridge(features, labels, 0.7), atol=1e-12)


def test_an_identical_network_leaves_the_joint_regression() -> None:
    mapping = linear_map(FeaturePairs(OLD, OLD), 1e-20)
    old = mapped(kept(OLD, LABELS, 3), mapping, 0.0)
    assert torch.allclose(ridge_rows(old, 2.0), ridge(OLD, LABELS, 2.0), atol=1e-10)


def test_by_default_every_direction_of_a_class_is_mapped() -> None:
    few = kept(random(2, 4, seed=7), torch.zeros(2, dtype=torch.long), 1)
    mapping = random(4, 4, seed=5)
    assert torch.allclose(mapped(few, mapping, 0.0).seconds[0], mapping.T @ few.seconds[0] @ mapping)


def test_a_threshold_keeps_the_directions_of_the_class() -> None:
    images = random(2, 4, seed=7)
    few, mapping = kept(images, torch.zeros(2, dtype=torch.long), 1), random(4, 4, seed=5)
    moved = mapped(few, mapping, 1e-6)
    basis = torch.linalg.svd(images).Vh[:2]
    assert torch.linalg.matrix_rank(moved.seconds[0]) == 2
    assert torch.allclose(moved.means[0], few.means[0] @ mapping @ basis.T @ basis, atol=1e-10)


def network(seed: int) -> IncrementalNet:
    backbone = build_backbone("convnet", 1, torch.Generator().manual_seed(seed))
    return IncrementalNet(backbone, LinearHead(backbone.feature_dim)).eval().requires_grad_(False)


@pytest.fixture
def data() -> ArrayDataset:
    images = torch.randint(
        256, (60, *DIGITS.shape), generator=torch.Generator().manual_seed(3), dtype=torch.uint8
    )
    return ArrayDataset(images, torch.arange(60) % 4, Transform(DIGITS))


def prototypes(net: IncrementalNet, data: ArrayDataset) -> tuple[Tensor, Tensor]:
    features = net.features(data.transform.plain(data.images))
    return features, features[:3]


def test_attacks_on_an_unchanged_network_find_no_drift(data: ArrayDataset) -> None:
    net = network(0)
    old, means = prototypes(net, data)
    drift, _ = adversarial_drift((net, net), data, old, means, Attack(10, 3, 5.0))
    assert torch.equal(drift, torch.zeros_like(drift))


def test_attacks_move_features_towards_the_prototype(data: ArrayDataset) -> None:
    net = network(0)
    old, _ = prototypes(net, data)
    x, target = data.transform.plain(data.images[:5]), old[40]
    attacked = _attacked(net, x, target, Attack(5, 3, 1.0), _pixel_range(data))
    assert bool(
        (torch.cdist(net.features(attacked), target[None]) < torch.cdist(old[:5], target[None])).all()
    )


def test_attacks_compare_with_prototypes_of_before_the_task(data: ArrayDataset) -> None:
    nets = (network(0), network(1))
    old, means = prototypes(nets[0], data)
    drift, _ = adversarial_drift(nets, data, old, means, Attack(10, 3, 5.0))
    order = torch.tensor([2, 0, 1])
    permuted, _ = adversarial_drift(nets, data, old, means[order], Attack(10, 3, 5.0))
    assert torch.allclose(permuted, drift[order], atol=1e-6)  # moving one by one depends on the order


def test_a_class_without_a_successful_attack_takes_its_unchanged_nearest_images(data: ArrayDataset) -> None:
    nets = (network(0), network(1))
    old, means = prototypes(nets[0], data)
    twice = torch.cat([means[:1], means[:1]])  # of two equal prototypes the first one is nearest
    drift, failed = adversarial_drift(nets, data, old, twice, Attack(10, 0, 0.0))
    nearest = torch.cdist(means[:1], old).argsort(dim=1)[0, :10]
    new = nets[1].features(data.transform.plain(data.images))
    assert failed == 1
    assert torch.allclose(drift[1], (new - old)[nearest].mean(dim=0), atol=1e-5)


def test_the_order_of_images_changes_no_attack(data: ArrayDataset) -> None:
    nets = (network(0), network(1))
    old, means = prototypes(nets[0], data)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    straight, _ = adversarial_drift(nets, data, old, means, Attack(10, 3, 5.0))
    mixed, _ = adversarial_drift(nets, data.select(order), old[order], means, Attack(10, 3, 5.0))
    assert torch.allclose(straight, mixed, atol=1e-5)


def test_attacked_images_stay_within_black_and_white(data: ArrayDataset) -> None:
    net = network(0)
    x = data.transform.plain(data.images[:5])
    limits = _pixel_range(data)
    attacked = _attacked(net, x, torch.full((64,), 9.0), Attack(5, 2, 1e4), limits)
    assert bool(((attacked >= limits[0]) & (attacked <= limits[1])).all())
    assert not torch.equal(attacked, x)
