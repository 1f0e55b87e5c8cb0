"""Channel importances of AFC, and the distance that weighs by them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.learning.channel_importance import channel_importance, mean_one, weighted_channel_distance
from cil_core.nets.backbones import Backbone, build_backbone
from cil_core.spec.catalog import DATASETS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def backbone() -> Backbone:
    return build_backbone("convnet", 1, generator())


@pytest.fixture
def data() -> ArrayDataset:
    images = torch.randint(256, (10, 1, 8, 8), generator=generator(3), dtype=torch.uint8)
    return ArrayDataset(images, torch.arange(10) % 3, Transform(DATASETS["digits"]))


def objective(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(features[:, :3], labels)


def test_raw_importances_are_scaled_to_mean_one() -> None:
    assert mean_one(torch.tensor([1.0, 3.0])).tolist() == [0.5, 1.5]


def test_a_stage_without_gradients_weighs_all_channels_alike() -> None:
    assert mean_one(torch.zeros(3)).tolist() == [1.0, 1.0, 1.0]


def test_it_is_the_mean_over_single_images_of_the_squared_gradient(
    backbone: Backbone, data: ArrayDataset
) -> None:
    backbone.eval()
    totals = [torch.zeros(channels) for channels in (32, 64, 64)]
    for batch in data.batches(1):
        maps = backbone.maps(batch.x)
        gradients = torch.autograd.grad(objective(backbone.pool(maps[-1]), batch.y), maps)
        totals = [t + g.square().sum(dim=(0, 2, 3)) for t, g in zip(totals, gradients, strict=True)]
    expected = torch.cat([total / total.mean() for total in totals])
    for size in (1, 4, 10):
        assert torch.allclose(
            channel_importance(backbone, data, objective, size), expected, rtol=1e-3, atol=1e-6
        )


def test_weights_are_at_least_zero_with_mean_one_in_each_stage(
    backbone: Backbone, data: ArrayDataset
) -> None:
    found = channel_importance(backbone, data, objective, 4)
    assert found.min() >= 0
    for stage in found.split([32, 64, 64]):
        assert stage.mean().item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_statistics_mode_and_precision_stay(
    backbone: Backbone, data: ArrayDataset, precision: torch.dtype
) -> None:
    backbone.train()
    backbone.compute_in(precision)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    found = channel_importance(backbone, data, objective, 4)
    assert backbone.training
    assert backbone.precision is precision
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert not torch.equal(found, torch.ones_like(found))


def maps(seed: int) -> list[torch.Tensor]:
    return [torch.randn(3, channels, 4, 4, generator=generator(seed)) for channels in (2, 3)]


def test_equal_weights_give_the_plain_mean_of_channel_distances() -> None:
    student, teacher = maps(0), maps(1)
    stages = []
    for new, old in zip(student, teacher, strict=True):
        distances = [
            (a.square() / a.square().norm() - b.square() / b.square().norm()).norm()
            for a, b in zip(new.flatten(0, 1), old.flatten(0, 1), strict=True)
        ]
        stages.append(torch.stack(distances).mean())
    found = weighted_channel_distance(student, teacher, torch.ones(5))
    assert found.item() == pytest.approx(torch.stack(stages).mean().item(), rel=1e-5)


def test_it_is_zero_between_equal_maps_and_invariant_to_the_scale_and_sign_of_a_channel() -> None:
    student, teacher = maps(0), maps(1)
    assert weighted_channel_distance(student, student, torch.ones(5)).item() == 0
    factors = torch.tensor([2.0, -0.5])[None, :, None, None]
    scaled = [student[0] * factors, student[1]]
    assert weighted_channel_distance(scaled, teacher, torch.ones(5)).item() == pytest.approx(
        weighted_channel_distance(student, teacher, torch.ones(5)).item(), rel=1e-5
    )


def test_a_channel_of_importance_zero_is_free() -> None:
    student, teacher = maps(0), maps(1)
    weights = torch.tensor([0.0, 2.0, 1.0, 1.0, 1.0])
    changed = [student[0].clone(), student[1]]
    changed[0][:, 0] = torch.randn(3, 4, 4, generator=generator(9))
    assert torch.equal(
        weighted_channel_distance(student, teacher, weights),
        weighted_channel_distance(changed, teacher, weights),
    )
