"""`Schedule`: epochs, batch size, optimiser and learning-rate curve of one phase. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from cil_core.spec.base import Before, Frozen, Submitted, values_before_fields

COSINES = ("cosine", "cosine_restarts")
"""Curves that fall to `min_lr`."""


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
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(default=0.1, gt=0, le=100)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    curve: Literal["multistep", "cosine", "cosine_restarts", "quarter_cosine", "constant"] = "multistep"
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
    warmup_lr: float | None = Field(
        default=None,
        gt=0,
        le=100,
        exclude_if=Before(None),
        description="The rate of all warm-up epochs; none lets it rise linearly.",
    )
    min_lr: float = Field(
        default=0.0,
        ge=0,
        le=100,
        exclude_if=Before(0.0),
        description="The rate that the curves cosine and cosine_restarts fall to.",
    )
    restart_epochs: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        exclude_if=Before(1),
        description="Epochs of the first cosine; each one lasts twice as long as the one before it "
        "(curve: cosine_restarts).",
    )
    clip_norm: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        exclude_if=Before(None),
        description="The largest norm of the gradient of all trained parameters; longer ones are scaled. "
        "None clips nothing.",
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

    @model_validator(mode="after")
    def _consistent_options(self) -> Schedule:
        if self.warmup_lr is not None and not self.warmup_epochs:
            raise ValueError(f"warmup_lr {self.warmup_lr} needs warmup_epochs of 1 or more")
        if self.min_lr and self.curve not in COSINES:
            raise ValueError(f"min_lr belongs to the curves {' and '.join(COSINES)}, not {self.curve!r}")
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr {self.min_lr} is larger than lr {self.lr}")
        if self.restart_epochs != 1 and self.curve != "cosine_restarts":
            raise ValueError(f"restart_epochs belongs to the curve 'cosine_restarts', not {self.curve!r}")
        return self

    def values(self) -> dict[str, Any]:
        """Every field, those included that the canonical form leaves out."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def completed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given fields, and this schedule's values of the missing ones.

        JSON that spells every older field leaves newer ones out because they are as before they existed.
        """
        later = values_before_fields(type(self))
        if type(self).model_fields.keys() - later.keys() <= given.keys():
            return {**later, **given}
        return {**self.values(), **given}

    def lr_at(self, epoch: int) -> float:
        """Learning rate in `epoch` (0-based)."""
        if epoch < self.warmup_epochs:
            return self.warmup_lr or self.lr * (epoch + 1) / self.warmup_epochs
        if self.curve == "cosine":
            return self._cosine(epoch / self.epochs)
        if self.curve == "cosine_restarts":
            start, length = self.warmup_epochs, self.restart_epochs
            while epoch >= start + length:
                start, length = start + length, 2 * length
            return self._cosine((epoch - start) / length)
        if self.curve == "quarter_cosine":
            return self.lr * math.cos(0.495 * math.pi * epoch / max(1, self.epochs - 1))
        return self.lr * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)

    def _cosine(self, progress: float) -> float:
        """Half a cosine from `lr` at progress 0 to `min_lr` at progress 1."""
        return self.min_lr + (self.lr - self.min_lr) * (1 + math.cos(math.pi * progress)) / 2

    def rescaled(self, epochs: int) -> Schedule:
        """The same curve over fewer or more epochs: milestones, warm-up and restarts keep their places."""
        ratio = epochs / self.epochs
        warmup = int(self.warmup_epochs * ratio)
        restart = round(self.restart_epochs * ratio) if self.curve == "cosine_restarts" else 1
        milestones = sorted({place for m in self.milestones if (place := max(1, round(m * ratio))) < epochs})
        return Schedule.model_validate(
            {
                **self.values(),
                "epochs": epochs,
                "milestones": milestones,
                "warmup_epochs": warmup,
                "warmup_lr": self.warmup_lr if warmup else None,
                "restart_epochs": max(1, restart),
            }
        )
