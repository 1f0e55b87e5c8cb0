"""`Schedule`: epochs, batch size, optimiser and learning-rate curve of one phase. Torch-free."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from cil_core.spec.base import Frozen, Submitted


def _all_may_be_left_out(schema: dict[str, Any]) -> None:
    schema.pop("required", None)
    for field in schema["properties"].values():
        field.pop("default", None)  # it depends on the recipe, whose own defaults say it


class Schedule(Submitted, Frozen):
    """How one phase is optimised; the learning rate changes at epoch boundaries only.

    In a recipe's JSON every field may be left out: it is then what the preset or the published recipe has
    there.
    """

    model_config = ConfigDict(json_schema_extra=_all_may_be_left_out)

    epochs: int = Field(ge=1, le=1_000_000)
    batch_size: int = Field(default=128, ge=1, le=65_536)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(default=0.1, gt=0, le=100)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    curve: Literal["multistep", "cosine", "constant"] = "multistep"
    milestones: tuple[int, ...] = Field(
        default=(), description="Epochs at which the rate is multiplied by gamma (curve: multistep)."
    )
    gamma: float = Field(default=0.1, gt=0, le=1)
    warmup_epochs: int = Field(
        default=0,
        ge=0,
        description="The rate rises linearly over these first epochs: the first of n has 1/n of it, the "
        "last all of it.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if any(later <= earlier for earlier, later in pairwise(self.milestones)) or any(
            m < 1 for m in self.milestones
        ):
            raise ValueError(f"milestones rise strictly and start at 1 or later, not {list(self.milestones)}")
        if self.milestones and self.milestones[-1] >= self.epochs:
            raise ValueError(
                f"milestones {list(self.milestones)} do not fit into {self.epochs} epochs: the last one "
                "comes before the last epoch; [] for none"
            )
        if self.milestones and self.curve != "multistep":
            raise ValueError(
                f"milestones {list(self.milestones)} belong to the curve 'multistep', not {self.curve!r}; "
                "[] for none"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"{self.warmup_epochs} warm-up epochs leave nothing of {self.epochs}")
        return self

    def lr_at(self, epoch: int) -> float:
        """Learning rate in `epoch` (0-based)."""
        if epoch < self.warmup_epochs:
            return self.lr * (epoch + 1) / self.warmup_epochs
        if self.curve == "cosine":
            return self.lr * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.lr * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)

    def rescaled(self, epochs: int) -> Schedule:
        """The same curve over fewer or more epochs: milestones and warm-up keep their relative places."""
        ratio = epochs / self.epochs
        milestones = sorted({place for m in self.milestones if (place := max(1, round(m * ratio))) < epochs})
        return Schedule.model_validate(
            {
                **self.model_dump(),
                "epochs": epochs,
                "milestones": milestones,
                "warmup_epochs": int(self.warmup_epochs * ratio),
            }
        )
