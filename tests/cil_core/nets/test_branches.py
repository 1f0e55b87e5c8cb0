"""Branches beside convolutions: the same function before and after folding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cil_core.nets.backbones import build_backbone
from cil_core.nets.branches import add_branches, branched, fold_branches


@pytest.mark.parametrize("stride", [1, 2])
def test_a_branch_is_a_parallel_one_by_one_convolution(stride: int) -> None:
    convolution = nn.utils.skip_init(nn.Conv2d, 2, 3, 3, stride=stride, padding=1, bias=False)
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(3, 2, 3, 3, generator=generator)
    convolution.weight = nn.Parameter(plain.clone())
    (kernel,) = add_branches(convolution)
    kernel.data.normal_(generator=generator)
    x = torch.randn(4, 2, 8, 8, generator=generator)
    expected = F.conv2d(x, plain, stride=stride, padding=1) + F.conv2d(x, kernel, stride=stride)
    assert torch.allclose(convolution(x), expected, atol=1e-5)
    before = convolution(x)
    fold_branches(convolution)
    assert torch.equal(convolution(x), before)


@pytest.mark.parametrize("name", ["convnet", "resnet20", "resnet18"])
def test_every_backbone_has_branches_that_start_at_zero_and_leave_no_trace(name: str) -> None:
    backbone = build_backbone(name, 1, torch.Generator().manual_seed(0)).eval()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    features = backbone(x)
    kernels = add_branches(backbone)
    assert len(kernels) == len(list(branched(backbone))) > 2
    assert all(bool((kernel == 0).all()) for kernel in kernels)
    assert torch.equal(backbone(x), features)
    fold_branches(backbone)
    after = backbone.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
