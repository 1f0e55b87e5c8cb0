"""The importance of MAS against values by hand and a loop over images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.data.features import FeatureDataset
from cil_core.learning.sensitivity import sensitivity
from cil_core.nets.backbones import build_backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, Outputs
from cil_core.spec.catalog import DATASETS


class Row(nn.Module):
    """z = W x with W = (1, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 2.0]]))

    def forward(self, x: Tensor) -> Outputs:
        return Outputs(x @ self.weight.T, x)


def points(*rows: tuple[float, float]) -> FeatureDataset:
    return FeatureDataset(torch.tensor(rows, dtype=torch.float32), torch.zeros(len(rows), dtype=torch.long))


@pytest.mark.parametrize(("norm", "expected"), [("squared", [4.0, 3.0]), ("plain", [1.0, 0.5])])
def test_it_is_the_mean_absolute_gradient_of_the_norm_of_the_outputs(norm, expected) -> None:
    found = sensitivity(Row(), points((1, 0), (1, 1)), norm)["weight"]
    assert found.flatten().tolist() == pytest.approx(expected)


def test_opposite_signs_cancel_within_a_batch_and_not_between_images() -> None:
    data = points((1, 0), (-1, 1))
    assert sensitivity(Row(), data, "squared")["weight"].flatten().tolist() == pytest.approx([2.0, 1.0])
    batch = sensitivity(Row(), data, "squared", batch_size=2)["weight"]
    assert batch.flatten().tolist() == pytest.approx([0.0, 1.0])


def test_a_batch_of_one_image_more_than_a_chunk_is_averaged_over_all_images() -> None:
    data = points(*[(1, 0)] * 32, (1, 1))
    expected = [(32 * 2 + 6) / 33, 6 / 33]
    assert sensitivity(Row(), data, "squared")["weight"].flatten().tolist() == pytest.approx(expected)


@pytest.fixture
def net() -> IncrementalNet[LinearHead]:
    backbone = build_backbone("convnet", 1, torch.Generator().manual_seed(0))
    net = IncrementalNet(backbone, LinearHead(backbone.feature_dim))
    net.grow(3, torch.Generator().manual_seed(1))
    return net


@pytest.fixture
def data() -> ArrayDataset:
    images = torch.randint(256, (9, 1, 8, 8), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    return ArrayDataset(images, torch.arange(9) % 3, Transform(DATASETS["digits"]))


def test_a_network_gets_the_mean_over_a_loop_of_single_images(
    net: IncrementalNet, data: ArrayDataset
) -> None:
    found = sensitivity(net, data, "squared")
    net.eval()
    names, parameters = zip(*net.named_parameters(), strict=True)
    loops = [torch.autograd.grad(net(batch.x).logits.square().sum(), parameters) for batch in data.batches(1)]
    for place, name in enumerate(names):
        expected = torch.stack([gradients[place].abs() for gradients in loops]).mean(dim=0)
        assert torch.allclose(found[name], expected, rtol=1e-3, atol=1e-5)
        assert bool((found[name] >= 0).all())


def test_labels_have_no_effect(net: IncrementalNet, data: ArrayDataset) -> None:
    relabelled = ArrayDataset(data.images, data.labels.flip(0), data.transform)
    first, second = sensitivity(net, data, "squared"), sensitivity(net, relabelled, "squared")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_scaling_the_head_scales_the_backbone_s_importance_by_the_square(
    net: IncrementalNet, data: ArrayDataset
) -> None:
    before = sensitivity(net, data, "squared")
    with torch.no_grad():
        net.head.weight.mul_(3)
    after = sensitivity(net, data, "squared")
    for name in before:
        if name.startswith("backbone"):
            assert torch.allclose(after[name], 9 * before[name], rtol=1e-4, atol=1e-6)


def test_batch_norm_statistics_do_not_move_and_the_mode_comes_back(
    net: IncrementalNet, data: ArrayDataset
) -> None:
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    sensitivity(net, data, "squared", batch_size=4)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
