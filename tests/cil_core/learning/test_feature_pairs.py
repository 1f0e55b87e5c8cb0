"""Features of the same images under two networks."""

from __future__ import annotations

import pytest
import torch

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.learning.feature_pairs import FeaturePairs, feature_pairs
from cil_core.nets.backbones import build_backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.catalog import DATASETS

DIGITS = DATASETS["digits"]


def network(seed: int) -> IncrementalNet:
    backbone = build_backbone("convnet", 1, torch.Generator().manual_seed(seed))
    return IncrementalNet(backbone, LinearHead(backbone.feature_dim))


@pytest.fixture
def data() -> ArrayDataset:
    images = torch.randint(
        256, (40, *DIGITS.shape), generator=torch.Generator().manual_seed(3), dtype=torch.uint8
    )
    return ArrayDataset(images, torch.arange(40) % 4, Transform(DIGITS))


def test_rows_are_features_of_the_same_image(data: ArrayDataset) -> None:
    old, new = network(0).eval(), network(1).eval()
    pairs = feature_pairs(old, new, data)
    x = data.transform.plain(data.images)
    assert torch.allclose(pairs.old, old.features(x), atol=1e-6)
    assert torch.allclose(pairs.new, new.features(x), atol=1e-6)


def test_a_network_paired_with_itself_has_no_drift(data: ArrayDataset) -> None:
    net = network(0)
    pairs = feature_pairs(net, net, data)
    assert torch.equal(pairs.old, pairs.new)


def test_another_order_of_images_permutes_the_pairs(data: ArrayDataset) -> None:
    old, new = network(0), network(1)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    straight, mixed = feature_pairs(old, new, data), feature_pairs(old, new, data.select(order))
    assert torch.allclose(straight.old[order], mixed.old, atol=1e-6)
    assert torch.allclose(straight.new[order], mixed.new, atol=1e-6)


def test_networks_keep_their_modes_and_batch_statistics(data: ArrayDataset) -> None:
    old, new = network(0).eval(), network(1).train()
    before = {name: value.clone() for name, value in new.state_dict().items()}
    feature_pairs(old, new, data)
    assert (old.training, new.training) == (False, True)
    assert all(torch.equal(value, before[name]) for name, value in new.state_dict().items())


def test_unit_pairs_have_norm_one() -> None:
    pairs = FeaturePairs(torch.tensor([[3.0, 4]]), torch.tensor([[0.0, 2]])).unit()
    assert pairs.old.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert pairs.new.tolist() == [[0, 1]]
