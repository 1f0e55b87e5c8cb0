"""`Recipe`: what every method's hyper-parameters have in common, and `Citation`.

Decisions:
    * The defaults of a recipe are published values; the description of each field names its source.
    * A *preset* is a named set of values. It is resolved when a recipe is read, so the canonical form always
      spells out what was run: `{"name": "icarl", "preset": "small"}` and the same values written by hand are
      one entry.
    * What is left out of a schedule is the preset's, or the published value: `{"later_tasks": {"lr": 0.05}}`
      changes the rate and nothing else.
    * Every method has a schedule `first_task`; the standard phase of later tasks takes `later_tasks`, which a
      method that trains its network once does not have.
    * A field added after recipes were stored states the value that held `Before` it existed. That value is
      left out of the JSON, so stored recipes keep their hashes; JSON that spells every older field means that
      value, anything shorter means the default.
    * What a method needs from a track is said here, torch-free, so that a job that cannot run is refused when
      it is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_jsonable_python

from cil_core.spec.base import Frozen, Submitted, values_before_fields
from cil_core.spec.catalog import BACKBONES, BackboneCard, DatasetCard
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.schedule import Schedule


class Citation(BaseModel):
    """Where a method or a number was published."""

    model_config = ConfigDict(frozen=True)

    key: str
    title: str
    authors: str
    venue: str
    year: int
    arxiv: str | None = None

    @property
    def bibtex(self) -> str:
        """A BibTeX entry."""
        fields = {
            "title": self.title,
            "author": self.authors,
            "booktitle": self.venue,
            "year": str(self.year),
        }
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"}
        return (
            "@inproceedings{"
            + self.key
            + ",\n"
            + "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
            + "}"
        )


FIRST_TASK = Schedule(epochs=200, lr=0.1, milestones=(60, 120, 170), weight_decay=5e-4)
"""The common first-task schedule (PyCIL, CIFAR-100)."""

SURVEY_FIRST_TASK = Schedule(epochs=200, lr=0.1, curve="cosine", weight_decay=5e-4)
"""First task of most rows in Zhou et al. (TPAMI 2024), their shared checkpoint (CIL_Survey, finetune.py)."""

SMALL = Schedule(epochs=20, batch_size=32, lr=0.05, milestones=(12, 17), weight_decay=5e-4)
"""For datasets of a few thousand small images, such as digits: a few hundred steps a task."""


class Recipe(Submitted, Frozen):
    """A method and all its hyper-parameters, schedule included.

    Class attributes:
        title: the method's name as papers print it.
        family: the branch of the literature it belongs to.
        summary: one sentence on how it works.
        citation: the paper, or None for a baseline.
        differs: where the default deviates from the paper.
        classifiers: the accuracy curves it produces; the first one ranks.
        uses_memory: whether it keeps exemplars.
        min_exemplars: exemplars a class it needs at the least, if it keeps any.
        min_images: training images per class it needs at the least, where more than one task follows.
        ranked: False for upper bounds, which are shown and never ranked.
        grows: what it adds to its network with every later task and keeps; decides what it may keep on a
            memory-aligned track.
        signed_features: whether its cosine head needs features without a final ReLU.
        needs: what it needs of the network on a pre-trained track: features of images that never change,
            places inside a transformer, or the whole network to train.
        pretrained: whether a track has to name published weights, may, or must not.
        presets: named sets of values, besides the defaults.
    """

    title: ClassVar[str]
    family: ClassVar[
        Literal[
            "baseline", "regularisation", "rehearsal", "rectification", "expansion", "prototype", "tuning"
        ]
    ]
    summary: ClassVar[str]
    citation: ClassVar[Citation | None] = None
    differs: ClassVar[str] = ""
    classifiers: ClassVar[tuple[str, ...]] = ("linear",)
    uses_memory: ClassVar[bool] = False
    min_exemplars: ClassVar[int] = 1
    min_images: ClassVar[int] = 1
    ranked: ClassVar[bool] = True
    grows: ClassVar[Literal["nothing", "last stage", "backbone"]] = "nothing"
    signed_features: ClassVar[bool] = False
    needs: ClassVar[Literal["frozen features", "sites", "whole network"]] = "whole network"
    pretrained: ClassVar[Literal["required", "optional", "refused"]] = "optional"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"small": {"first_task": SMALL, "later_tasks": SMALL}}

    name: str
    first_task: Schedule = Field(default=FIRST_TASK, description="Schedule of the first task (PyCIL).")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        base: dict[str, Any] = {
            name: field.default
            for name, field in cls.model_fields.items()
            if isinstance(field.default, Schedule)
        }
        later = values_before_fields(cls)
        if later and cls.model_fields.keys() - later.keys() <= values.keys():
            base |= later
        if "preset" in values:
            preset = values["preset"]
            if preset not in cls.presets:
                raise ValueError(
                    f"preset {preset!r} does not exist; {cls.title} has "
                    f"{', '.join(map(repr, sorted(cls.presets)))}"
                )
            base |= cls.presets[preset]
        given = {name: value for name, value in values.items() if name != "preset"}
        for name, value in given.items():
            if isinstance(value, dict) and isinstance(base.get(name), Schedule):
                given[name] = base[name].completed(value)
        return {**base, **given}

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Every schedule of this recipe by field name, for limits and cost estimates."""
        return {
            name: value
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), Schedule)
        }

    @property
    def variant(self) -> str:
        """How this recipe differs from the method's default: `default`, a preset, or the changed fields."""
        if self == type(self).published():
            return "default"
        for name in self.presets:
            if self == type(self).from_preset(name):
                return name
        return ", ".join(self.changes())

    @classmethod
    def published(cls) -> Self:
        """The recipe with every default."""
        return cls.model_validate({})

    @classmethod
    def from_preset(cls, preset: str) -> Self:
        """The recipe a preset names; raises a validation error for an unknown one."""
        return cls.model_validate({"preset": preset})

    def changes(self) -> list[str]:
        """The fields that differ from the nearest preset (or the defaults), as `field=value`."""
        bases = [type(self).published(), *(type(self).from_preset(name) for name in self.presets)]
        labels = ["", *(f"{name}, " for name in self.presets)]
        label, shown = min(zip(labels, map(self._changes, bases), strict=True), key=lambda told: len(told[1]))
        return [label + shown[0], *shown[1:]] if shown else []

    def _changes(self, base: Recipe) -> list[str]:
        before = flat(base.values())
        return [f"{name}={value}" for name, value in flat(self.values()).items() if value != before[name]]

    def values(self) -> dict[str, Any]:
        """Every field as JSON, those included that the canonical form leaves out."""
        return {
            name: to_jsonable_python(value.values() if isinstance(value, Schedule) else value)
            for name in type(self).model_fields
            for value in (getattr(self, name),)
        }

    def backbone_on(self, backbone: str) -> str:
        """The backbone on a track that names `backbone`.

        A cosine head gets the one without final ReLU, where that exists.
        """
        return (
            variant if self.signed_features and (variant := f"cosine_{backbone}") in BACKBONES else backbone
        )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:
        """Refuse a track this method cannot run on.

        Raises:
            InvalidSpec: with the reason.
        """

    def check_tasks(self, tasks: int) -> None:
        """Refuse a number of tasks this method cannot learn.

        Raises:
            InvalidSpec: with the reason.
        """

    def refuse(self, reason: str, *field: str | int) -> InvalidSpec:
        """An `InvalidSpec` that names this method; for use in `check_track`."""
        return InvalidSpec(f"{self.title}: {reason}", field or ("method", "name"))


def flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Every hyper-parameter of a recipe's JSON by its name; those of schedules as `schedule.field`."""
    found: dict[str, Any] = {}
    for name, value in recipe.items():
        found |= (
            {f"{name}.{field}": one for field, one in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return found
