"""One pydantic class a method: title, citation, family and every hyper-parameter with its source. Torch-free.

`Recipe` here is the union of all of them, told apart by `name`. To add a method, write its class in the module of its family,
add it to `RECIPES`, and write `cil_core/methods/<name>.py`.
"""

from __future__ import annotations

from typing import Annotated, Union

from pydantic import Field

from cil_core.recipes import base
from cil_core.recipes.base import Citation
from cil_core.recipes.baselines import Finetune, Joint, Replay
from cil_core.recipes.expansion import DER, DERWA, FOSTER, MEMO
from cil_core.recipes.prototypes import ACIL, PASS, FeTrIL, SimpleCIL
from cil_core.recipes.rectification import COIL, UCIR, WA, BiC, ICaRL, PODNet
from cil_core.recipes.regularisation import AGEM, EWC, GEM, DERpp, LwF

RECIPES: tuple[type[base.Recipe], ...] = (
    Finetune,
    Joint,
    Replay,
    LwF,
    EWC,
    GEM,
    AGEM,
    DERpp,
    ICaRL,
    BiC,
    WA,
    COIL,
    UCIR,
    PODNet,
    DER,
    DERWA,
    MEMO,
    FOSTER,
    SimpleCIL,
    FeTrIL,
    ACIL,
    PASS,
)
"""Every method, in the order in which the catalogue lists them."""

Recipe = Annotated[Union[*RECIPES], Field(discriminator="name")]  # type: ignore[valid-type]
"""Any method's recipe; `name` says which."""

BY_NAME: dict[str, type[base.Recipe]] = {recipe.model_fields["name"].default: recipe for recipe in RECIPES}

__all__ = [
    "ACIL",
    "AGEM",
    "BY_NAME",
    "COIL",
    "DER",
    "DERWA",
    "EWC",
    "FOSTER",
    "GEM",
    "MEMO",
    "PASS",
    "RECIPES",
    "UCIR",
    "WA",
    "BiC",
    "Citation",
    "DERpp",
    "FeTrIL",
    "Finetune",
    "ICaRL",
    "Joint",
    "LwF",
    "PODNet",
    "Recipe",
    "Replay",
    "SimpleCIL",
    "base",
]
