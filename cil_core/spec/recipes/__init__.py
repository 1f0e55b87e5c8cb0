"""One pydantic class per method: title, citation, family, every hyper-parameter and its source. Torch-free.

`Recipe` here is the union of all of them, discriminated by `name`. To add a method, write its class in the
module of its family, add it to `RECIPES`, and write `cil_core/methods/<name>.py`.
"""

from __future__ import annotations

from typing import Annotated, Union

from pydantic import Field

from cil_core.spec.recipes import base
from cil_core.spec.recipes.analytic import DSALRecipe, GKEALRecipe, RanPACRecipe
from cil_core.spec.recipes.base import Citation
from cil_core.spec.recipes.baselines import FinetuneRecipe, JointRecipe, ReplayRecipe
from cil_core.spec.recipes.boosting import FOSTERRecipe
from cil_core.spec.recipes.consolidation import AFCRecipe
from cil_core.spec.recipes.cosine import COILRecipe, PODNetRecipe, UCIRRecipe
from cil_core.spec.recipes.dark_future import XDERRecipe
from cil_core.spec.recipes.distances import FeCAMRecipe
from cil_core.spec.recipes.drift import DriftRecipe
from cil_core.spec.recipes.expansion import DERRecipe, DERWARecipe, MEMORecipe
from cil_core.spec.recipes.gaussians import AdaGaussRecipe, EFCRecipe
from cil_core.spec.recipes.guidance import BEEFRecipe, TagFexRecipe
from cil_core.spec.recipes.importances import MASRecipe, SIRecipe
from cil_core.spec.recipes.prompts import CODAPromptRecipe, DualPromptRecipe, L2PRecipe
from cil_core.spec.recipes.prototypes import ACILRecipe, FeTrILRecipe, PASSRecipe, SimpleCILRecipe
from cil_core.spec.recipes.rectification import BiCRecipe, ICaRLRecipe, WARecipe
from cil_core.spec.recipes.regularisation import AGEMRecipe, DERppRecipe, EWCRecipe, GEMRecipe, LwFRecipe
from cil_core.spec.recipes.rehearsal import ERACERecipe, GDumbRecipe, SSILRecipe
from cil_core.spec.recipes.rehearsed_prototypes import IL2ARecipe, SSRERecipe
from cil_core.spec.recipes.subspaces import EASERecipe, InfLoRARecipe, MOSRecipe, SLCAppRecipe, SLCARecipe
from cil_core.spec.recipes.tuned import APERRecipe

RECIPES: tuple[type[base.Recipe], ...] = (
    FinetuneRecipe,
    JointRecipe,
    ReplayRecipe,
    LwFRecipe,
    EWCRecipe,
    MASRecipe,
    SIRecipe,
    GEMRecipe,
    AGEMRecipe,
    DERppRecipe,
    XDERRecipe,
    ERACERecipe,
    SSILRecipe,
    GDumbRecipe,
    ICaRLRecipe,
    BiCRecipe,
    WARecipe,
    COILRecipe,
    UCIRRecipe,
    PODNetRecipe,
    AFCRecipe,
    DERRecipe,
    DERWARecipe,
    MEMORecipe,
    FOSTERRecipe,
    BEEFRecipe,
    TagFexRecipe,
    APERRecipe,
    CODAPromptRecipe,
    DualPromptRecipe,
    L2PRecipe,
    EASERecipe,
    SLCARecipe,
    SLCAppRecipe,
    InfLoRARecipe,
    MOSRecipe,
    SimpleCILRecipe,
    FeTrILRecipe,
    ACILRecipe,
    DSALRecipe,
    GKEALRecipe,
    RanPACRecipe,
    FeCAMRecipe,
    PASSRecipe,
    IL2ARecipe,
    SSRERecipe,
    DriftRecipe,
    EFCRecipe,
    AdaGaussRecipe,
)
"""Every method, in the order in which the catalogue lists them."""

Recipe = Annotated[Union[*RECIPES], Field(discriminator="name")]  # type: ignore[valid-type]
"""Any method's recipe; `name` says which."""

BY_NAME: dict[str, type[base.Recipe]] = {recipe.model_fields["name"].default: recipe for recipe in RECIPES}

__all__ = [
    "BY_NAME",
    "RECIPES",
    "ACILRecipe",
    "AFCRecipe",
    "AGEMRecipe",
    "APERRecipe",
    "AdaGaussRecipe",
    "BEEFRecipe",
    "BiCRecipe",
    "CODAPromptRecipe",
    "COILRecipe",
    "Citation",
    "DERRecipe",
    "DERWARecipe",
    "DERppRecipe",
    "DSALRecipe",
    "DriftRecipe",
    "DualPromptRecipe",
    "EASERecipe",
    "EFCRecipe",
    "ERACERecipe",
    "EWCRecipe",
    "FOSTERRecipe",
    "FeCAMRecipe",
    "FeTrILRecipe",
    "FinetuneRecipe",
    "GDumbRecipe",
    "GEMRecipe",
    "GKEALRecipe",
    "ICaRLRecipe",
    "IL2ARecipe",
    "InfLoRARecipe",
    "JointRecipe",
    "L2PRecipe",
    "LwFRecipe",
    "MASRecipe",
    "MEMORecipe",
    "MOSRecipe",
    "PASSRecipe",
    "PODNetRecipe",
    "RanPACRecipe",
    "Recipe",
    "ReplayRecipe",
    "SIRecipe",
    "SLCARecipe",
    "SLCAppRecipe",
    "SSILRecipe",
    "SSRERecipe",
    "SimpleCILRecipe",
    "TagFexRecipe",
    "UCIRRecipe",
    "WARecipe",
    "XDERRecipe",
    "base",
]
