"""What users submit: `Track`, `JobSpec` and `RunSpec`, all torch-free and frozen.

Decisions:
    * A track is everything that must be equal for two methods to be comparable. Its readable slug can be
      parsed back.
    * The class order belongs to the track; the seed of a run drives initialisation, data order and
      augmentation only.
    * `validation.check` decides whether a spec can be *run* (known names, increments that fit, a large enough
      budget): that needs the catalogue.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from cil_core.spec.base import PRINTABLE, Before, Frozen, Submitted
from cil_core.spec.recipes import Recipe
from cil_core.spec.samples import NO_SAMPLE, SAMPLE_NAME, Sample, sample_of
from cil_core.spec.submitted_method import SubmittedMethod, is_submitted
from cil_core.spec.weights import RESERVED, WEIGHTS_NAME, weights_key

DEFAULT_CLASS_ORDER = 1993
"""The field's customary order: `numpy.random.RandomState(1993).permutation(classes)`."""

_NAME = r"[a-z0-9_]+(?:-[a-z0-9_]+)*"
_SLUG = re.compile(
    rf"(?P<dataset>(?:folder:)?{_NAME})-b(?P<base>\d{{1,6}})-inc(?P<increment>\d{{1,6}})"
    rf"-m(?P<amount>\d{{1,16}})(?P<unit>pc|b|a)?-(?P<backbone>[a-z0-9_]+)"
    r"(?:-order(?P<order>\d{1,10}))?(?:-holdout(?P<holdout>\d{1,2}))?"
    rf"(?:-(?P<sample>{SAMPLE_NAME}))?(?:-(?P<pretrained>{WEIGHTS_NAME}))?(?:-(?P<precision>bf16))?"
)


def _kind_of_order(order: object) -> str:
    return "classes" if isinstance(order, list | tuple) else "seed"


_ClassOrder = Annotated[
    Annotated[int, Tag("seed")] | Annotated[tuple[int | str, ...], Tag("classes")],
    Discriminator(_kind_of_order),
]


class Protocol(Submitted, Frozen):
    """How classes arrive: `first` classes, then `increment` per task. The last task may be smaller."""

    first: int = Field(
        ge=2,
        le=100_000,
        description="Classes of the first task. B0-Inc10 is first=10, B50-Inc10 is first=50.",
    )
    increment: int = Field(ge=1, le=100_000, description="Classes of every later task.")
    class_order: _ClassOrder = Field(
        default=DEFAULT_CLASS_ORDER,
        description="Seed of numpy's RandomState permutation, or the classes themselves in order of arrival: "
        "their numbers, or their names, which are replaced by the numbers at submission.",
    )

    @field_validator("class_order")
    @classmethod
    def _order_is_valid(cls, order: int | tuple[int | str, ...]) -> int | tuple[int | str, ...]:
        if isinstance(order, int):
            if not 0 <= order < 2**32:
                raise ValueError(f"a class-order seed lies in 0 … 4294967295, not {order}")
        elif any(isinstance(label, str) for label in order):
            if len(set(order)) != len(order) or len(order) < 2:
                raise ValueError("an explicit class order names each class once")
        elif set(order) != set(range(len(order))) or len(order) < 2:
            raise ValueError(f"an explicit class order names each of the classes 0 … {len(order) - 1} once")
        return order

    def task_sizes(self, classes: int) -> tuple[int, ...]:
        """Number of classes of each task.

        Raises:
            ValueError: the first task needs more classes than the dataset has.
        """
        if self.first > classes:
            raise ValueError(f"the first task needs {self.first} classes; the dataset has {classes}")
        full, rest = divmod(classes - self.first, self.increment)
        return (self.first, *[self.increment] * full, *([rest] if rest else []))


class MemoryBudget(Submitted, Frozen):
    """How much a method may keep between tasks: an upper bound; methods may use less."""

    kind: Literal["none", "total", "per_class", "bytes", "aligned"] = Field(
        description="none: no exemplars; total: exemplars in all; per_class: exemplars per class; "
        "bytes: bytes of exemplars in all; aligned: memory-aligned, exemplars and networks together take "
        "no more than unpruned DER with `amount` exemplars in all."
    )
    amount: int = Field(default=0, ge=0, le=10**15)

    @model_validator(mode="after")
    def _amount_fits_kind(self) -> MemoryBudget:
        if (self.kind == "none") != (self.amount == 0):
            raise ValueError(
                f"a budget of kind {self.kind!r}"
                f" {'has amount 0' if self.kind == 'none' else 'needs an amount of at least 1'}, not "
                f"{self.amount}"
            )
        return self

    def quota(self, seen_classes: int, bytes_per_exemplar: int) -> int:
        """Exemplars that each of `seen_classes` may keep, rounded down: the budget is never exceeded.

        Raises:
            ValueError: the budget is memory-aligned, so it depends on the method;
                `aligned_budgets.effective_budget` computes it.
        """
        match self.kind:
            case "aligned":
                raise ValueError("a memory-aligned budget has a quota only once a method is known")
            case "none":
                return 0
            case "per_class":
                return self.amount
            case "total":
                return self.amount // seen_classes
            case "bytes":
                return self.amount // bytes_per_exemplar // seen_classes

    @property
    def slug(self) -> str:
        """The budget in a track's slug: `m2000`, `m20pc`, `m6144000b`, `m2000a` or `m0`."""
        return f"m{self.amount}" + {"per_class": "pc", "bytes": "b", "aligned": "a"}.get(self.kind, "")


class Track(Submitted, Frozen):
    """What must be equal for two methods to be comparable."""

    dataset: str = Field(pattern=rf"^(folder:)?{_NAME}$", max_length=80)
    protocol: Protocol
    memory: MemoryBudget
    backbone: str = Field(pattern=r"^[a-z0-9_]+$", max_length=40)
    holdout: int = Field(
        default=0,
        ge=0,
        le=50,
        description="Per cent of each class's training images held out as the test set, for tuning; "
        "0 tests on the real test set.",
    )
    sample: str = Field(
        default=NO_SAMPLE,
        max_length=20,
        exclude_if=Before(NO_SAMPLE),
        description="Which training images are used: none (all), shotK (K images of each class after the "
        "first task; shotKsSEED for another list), ltR (long-tailed with ratio R) or ltRo (ordered).",
    )
    pretrained: str = Field(
        default="none",
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=40,
        exclude_if=Before("none"),
        description="Published weights of the backbone by the name on their card, e.g. augreg_in21k; they "
        "also decide how images are prepared. With none, weights are random.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32",
        exclude_if=lambda precision: precision == "fp32",  # keeps the hashes of older tracks
        description="The type in which backbones compute: float32 (convolutions on GPUs multiply it as TF32, "
        "PyTorch's default), or bfloat16 under autocast. Parameters, heads and losses are always float32.",
    )

    @field_validator("sample")
    @classmethod
    def _names_a_sample(cls, name: str) -> str:
        sample_of(name)
        return name

    @field_validator("pretrained")
    @classmethod
    def _names_weights(cls, name: str) -> str:
        if name != "none" and RESERVED.fullmatch(name):
            raise ValueError(f"{name!r} is a word of slugs and names no weights")
        return name

    @property
    def weights_key(self) -> str | None:
        """The key of its weights in `WEIGHTS`; None without weights."""
        return None if self.pretrained == "none" else weights_key(self.backbone, self.pretrained)

    @property
    def sampling(self) -> Sample | None:
        """Which training images are used; None for all of them."""
        return sample_of(self.sample)

    def held_out(self, images: int) -> int:
        """How many of a class's training images the holdout takes."""
        return round(images * self.holdout / 100)

    @property
    def slug(self) -> str:
        """The readable name, e.g. `cifar100-b0-inc10-m2000-resnet32`.

        `from_slug` parses it back unless the class order is explicit.
        """
        base = 0 if self.protocol.first == self.protocol.increment else self.protocol.first
        parts = [self.dataset, f"b{base}", f"inc{self.protocol.increment}", self.memory.slug, self.backbone]
        order = self.protocol.class_order
        if isinstance(order, tuple):
            parts.append("orderx" + hashlib.sha256(repr(order).encode()).hexdigest()[:8])
        elif order != DEFAULT_CLASS_ORDER:
            parts.append(f"order{order}")
        if self.holdout:
            parts.append(f"holdout{self.holdout}")
        if self.sample != NO_SAMPLE:
            parts.append(self.sample)
        if self.pretrained != "none":
            parts.append(self.pretrained)
        if self.precision != "fp32":
            parts.append(self.precision)
        return "-".join(parts)

    @classmethod
    def from_slug(cls, slug: str) -> Track:
        """The track of a slug.

        Raises:
            ValueError: it is not of the form `DATASET-bFIRST-incINCREMENT-mBUDGET-BACKBONE`.
        """
        found = _SLUG.fullmatch(slug)
        if not found:
            raise ValueError(
                f"{slug!r} is not a track slug such as"
                " 'cifar100-b0-inc10-m2000-resnet32' or 'digits-b0-inc2-m50-convnet'"
            )
        increment, base, amount = int(found["increment"]), int(found["base"]), int(found["amount"])
        kind = (
            "none"
            if amount == 0 and not found["unit"]
            else {"pc": "per_class", "b": "bytes", "a": "aligned", None: "total"}[found["unit"]]
        )
        return cls.model_validate(
            {
                "dataset": found["dataset"],
                "protocol": {
                    "first": base or increment,
                    "increment": increment,
                    "class_order": int(found["order"] or DEFAULT_CLASS_ORDER),
                },
                "memory": {"kind": kind, "amount": amount},
                "backbone": found["backbone"],
                "holdout": int(found["holdout"] or 0),
                "sample": found["sample"] or NO_SAMPLE,
                "pretrained": found["pretrained"] or "none",
                "precision": found["precision"] or "fp32",
            }
        )


def _track_or_slug(value: object) -> object:
    return Track.from_slug(value) if isinstance(value, str) else value


Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _built_in_or_submitted(value: Any, built_in: ValidatorFunctionWrapHandler) -> Any:
    return SubmittedMethod.model_validate(value) if is_submitted(value) else built_in(value)


AnyMethod = Annotated[SerializeAsAny[Recipe], WrapValidator(_built_in_or_submitted)]
"""A built-in recipe, or a `SubmittedMethod`, which has a `source`."""


class RunSpec(Submitted, Frozen):
    """One run: one method on one track with one seed. The engine or the arena executes it."""

    method: AnyMethod
    track: Track
    seed: Seed

    _track_by_slug = field_validator("track", mode="before")(_track_or_slug)


class JobSpec(Submitted, Frozen):
    """What a user submits: a recipe on a track, with one run per seed."""

    method: Recipe
    track: Track
    seeds: tuple[Seed, ...] = Field(
        max_length=100,
        description="One run each; they drive initialisation, data order and augmentation.",
        json_schema_extra={"minItems": 1},
    )
    name: Annotated[str, Field(max_length=120), PRINTABLE] | None = Field(
        default=None, description="A note for people; it changes nothing."
    )

    _track_by_slug = field_validator("track", mode="before")(_track_or_slug)

    @field_validator("seeds")
    @classmethod
    def _seeds_are_distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:  # `min_length` would count the valid seeds, and complain again about an invalid one
            raise ValueError("at least one seed is required")
        repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if repeated:
            raise ValueError(f"duplicate seeds: {', '.join(map(str, repeated))}")
        return seeds

    def runs(self) -> tuple[RunSpec, ...]:
        """One `RunSpec` per seed, in the order given."""
        return tuple(RunSpec(method=self.method, track=self.track, seed=seed) for seed in self.seeds)


class SubmittedJobSpec(JobSpec):
    """A job of a submitted method."""

    method: SubmittedMethod
