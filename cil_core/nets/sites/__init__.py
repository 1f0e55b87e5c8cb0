"""Sites: the places in a vision transformer where methods add parameters of their own.

    S1 tokens       `ShallowTokens`, `DeepTokens`, `Between`
    S2 prefix       `Prefix`
    S3 adapter      `Adapters`
    S4 low rank     `LowRank`
    S5 scale, shift `ScaleShift`

Decisions:
    * `walk` runs the modules of timm's network itself and calls a `Sites` at every site. The network is
      neither changed nor subclassed: its state dict stays timm's, several `Sites` share one network, and the
      package does not import timm.
    * Without a site, and with a neutral one, features are bit-equal to timm's own forward pass.
"""

from __future__ import annotations

from cil_core.nets.sites.adapter import Adapters
from cil_core.nets.sites.low_rank import LowRank
from cil_core.nets.sites.prefix import Prefix
from cil_core.nets.sites.scale_shift import ScaleShift
from cil_core.nets.sites.tokens import Between, DeepTokens, ShallowTokens
from cil_core.nets.sites.walk import PLAIN, Layer, Shape, Sites, walk

__all__ = [
    "PLAIN",
    "Adapters",
    "Between",
    "DeepTokens",
    "Layer",
    "LowRank",
    "Prefix",
    "ScaleShift",
    "ShallowTokens",
    "Shape",
    "Sites",
    "walk",
]
