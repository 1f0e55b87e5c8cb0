"""`folded`: batch norm folded into convolutions makes a frozen network faster.

In evaluation mode batch norm is an affine map per channel, so that W' = W · γ/σ and b' = β − μ · γ/σ are the
same function without a pass over the maps. Values agree up to rounding; the original stays unchanged.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

M = TypeVar("M", bound=nn.Module)


def folded(network: M) -> M:
    """A copy for inference only, in evaluation mode and without gradients.

    Folds every batch norm that is registered right after the convolution whose output it normalises, as in
    all backbones.
    """
    network = copy.deepcopy(network).eval()
    for owner in network.modules():
        for (convolution_name, convolution), (norm_name, norm) in pairwise(list(owner.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(owner, convolution_name, fuse_conv_bn_eval(convolution, norm))
                setattr(owner, norm_name, nn.Identity())
    return network.requires_grad_(False)
