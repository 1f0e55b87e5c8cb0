"""`Precomputed`: the backbone of a run whose inputs are features already."""

from __future__ import annotations

from torch import Tensor, nn

from cil_core.nets.backbones import Backbone


class Precomputed(Backbone):
    """Passes features (B, feature_dim) through; the network that made them is charged all the same.

    Args:
        feature_dim: d.
        parameters: of the network that made the features.
    """

    def __init__(self, feature_dim: int, parameters: int) -> None:
        super().__init__(nn.Identity(), [nn.Identity()], feature_dim)
        self.absent_parameters = parameters

    def through_parts(self, x: Tensor) -> Tensor:
        """The features themselves, float32."""
        return x.float()
