"""`folded`: a frozen network computes faster when its batch normalisations become part of its convolutions.

In evaluation mode a batch normalisation is an affine map per channel, so W' = W · γ/σ and b' = β − μ · γ/σ give the same function without a pass over
the maps. Values agree up to rounding; the original is left as it is.
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

    Folds every batch normalisation that its owner registers right after the convolution whose output it takes, as all backbones do.
    """
    network = copy.deepcopy(network).eval()
    for owner in network.modules():
        for (convolution_name, convolution), (norm_name, norm) in pairwise(list(owner.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(owner, convolution_name, fuse_conv_bn_eval(convolution, norm))
                setattr(owner, norm_name, nn.Identity())
    return network.requires_grad_(False)
