"""The Gaussian head and the narrow feature space of AdaGauss."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.backbones import build_backbone
from cil_core.nets.bottleneck import BottleneckNet, GaussianHead, correlations
from cil_core.nets.perceptron import Affine, Perceptron


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def filled(means: Tensor, covariances: Tensor, shrinkage: float = 3.0) -> GaussianHead:
    head = GaussianHead(means.shape[1], shrinkage)
    head.means, head.covariances = means, covariances
    return head


def test_correlations_by_hand() -> None:
    matrix = correlations(torch.tensor([[[2.0, 1], [1, 4]]]), 3.0)  # 9 is added to the diagonal
    assert matrix.flatten().tolist() == pytest.approx([1, 1 / (11 * 13) ** 0.5, 1 / (11 * 13) ** 0.5, 1])


def test_scores_are_minus_squared_mahalanobis_distances_of_unit_vectors() -> None:
    means, features = random(3, 4), random(6, 4, seed=1)
    roots = random(3, 4, 4, seed=2)
    head = filled(means, roots @ roots.mT)
    inverse = torch.linalg.inv(correlations(roots @ roots.mT, 3.0)).float()
    offsets = F.normalize(features, dim=1)[:, None] - F.normalize(means, dim=1)
    expected = -torch.einsum("bnd,nde,bne->bn", offsets, inverse, offsets)
    assert torch.allclose(head(features), expected, atol=1e-5)


def test_equal_round_covariances_give_the_nearest_mean() -> None:
    means, features = random(5, 4), random(20, 4, seed=1)
    head = filled(means, 0.7 * torch.eye(4).expand(5, 4, 4))
    distances = torch.cdist(F.normalize(features, dim=1), F.normalize(means, dim=1))
    assert torch.allclose(head(features), -distances.square(), atol=1e-5)


def test_a_class_of_one_image_has_finite_scores() -> None:
    assert bool(filled(random(2, 4), torch.zeros(2, 4, 4))(random(3, 4)).isfinite().all())


def test_growth_keeps_old_gaussians() -> None:
    head = filled(random(2, 4), random(2, 4, 4, seed=1))
    head.grow(3, torch.Generator())
    assert head.classes == 5
    assert torch.equal(head.means[:2], random(2, 4))
    assert torch.equal(head.covariances[:2], random(2, 4, 4, seed=1))


def test_a_map_after_the_pool_is_a_one_by_one_convolution_before_it() -> None:
    generator = torch.Generator().manual_seed(0)
    net = BottleneckNet(build_backbone("convnet", 1, generator), 8, 3.0, generator).eval()
    convolution = nn.utils.skip_init(nn.Conv2d, 64, 8, 1)
    convolution.weight = nn.Parameter(net.bottleneck.weight.detach()[:, :, None, None])
    convolution.bias = net.bottleneck.bias
    x = random(3, 1, 8, 8, seed=3)
    expected = convolution(net.backbone.maps(x)[-1]).mean(dim=(2, 3))
    assert torch.allclose(net.features(x), expected, atol=1e-5)
    assert bool((net.features(x) < 0).any())


def test_layers_start_within_the_bounds_of_their_inputs() -> None:
    layer = Affine(100, 50, torch.Generator().manual_seed(0))
    assert layer.weight.abs().max() <= 0.1
    assert layer.weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)
    assert layer.bias.abs().max() <= 0.1


def test_a_perceptron_is_two_layers_and_a_gelu() -> None:
    net = Perceptron(4, 12, torch.Generator().manual_seed(0))
    first, _, second = net
    x = random(3, 4)
    hidden = F.gelu(x @ first.weight.T + first.bias)
    assert torch.allclose(net(x), hidden @ second.weight.T + second.bias, atol=1e-6)
