"""Cards of methods, datasets and backbones, and what is known of workers, as the API answers them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.http import problems
from api.http.problems import Problem
from cil_core.spec.catalog import BackboneCard, ClassRow, DatasetCard
from cil_core.spec.recipes import BY_NAME, RECIPES, base
from store.runs import WorkerStatus


class CitationAnswer(BaseModel):
    """Where a method was published."""

    key: str
    title: str
    authors: str
    venue: str
    year: int
    arxiv: str | None
    bibtex: str


class MethodAnswer(BaseModel):
    """A method and what it needs."""

    name: str = Field(examples=["icarl"])
    title: str = Field(examples=["iCaRL"])
    family: str
    summary: str
    citation: CitationAnswer | None = Field(description="None for a baseline.")
    differs: str = Field(description="Where the default deviates from the paper.")
    classifiers: tuple[str, ...] = Field(description="The accuracy curves it produces; the first one ranks.")
    uses_memory: bool
    min_exemplars: int = Field(description="Exemplars a class it needs at the least, if it keeps any.")
    ranked: bool = Field(description="False for upper bounds, which are shown and never ranked.")
    presets: tuple[str, ...] = Field(description='Named sets of values: `{"name": …, "preset": …}`.')


class MethodDetailAnswer(MethodAnswer):
    """A method with its hyper-parameters."""

    defaults: dict[str, Any] = Field(description="The recipe with every field at its default.")
    preset_values: dict[str, dict[str, Any]] = Field(description="The whole recipe each preset stands for.")
    json_schema: dict[str, Any] = Field(
        description="JSON Schema of the recipe; the descriptions name the source of each default."
    )


class LeaseAnswer(BaseModel):
    """A run that a worker holds."""

    run_id: str
    attempt: int
    method: str
    track_slug: str
    seed: int
    until: datetime = Field(description="When the worker loses it, unless it is heard of.")
    seconds_left: float
    cancel_requested: bool


class QueueAnswer(BaseModel):
    """A queue with work in it."""

    name: str
    length: int = Field(description="Queued runs, those that wait to be tried again included.")
    ready: int = Field(description="Queued runs a worker could take at once.")
    oldest: datetime | None = Field(description="Since when the oldest of these has been ready.")
    oldest_seconds: float | None


class SetbackAnswer(BaseModel):
    """A run that was tried and waits to be tried again."""

    run_id: str
    method: str
    track_slug: str
    seed: int
    attempts: int
    reason: str | None
    not_before: datetime
    seconds_left: float


class WorkerAnswer(BaseModel):
    """A worker that was heard of within the last hour."""

    id: str
    queue: str
    device: str
    datasets: list[str] | None = Field(description="Those it has; None if it has or can get any.")
    info: dict[str, Any]
    registered_at: datetime
    seen_at: datetime
    silent_seconds: float
    stopped_at: datetime | None
    runs: list[str] = Field(description="The runs it holds.")
    leases: list[LeaseAnswer] = Field(description="The same, with how long it may keep them unheard of.")


class Methods(BaseModel):
    """Every method."""

    items: list[MethodAnswer]
    next_cursor: str | None = None


class DatasetAnswer(DatasetCard):
    """A dataset with its classes."""

    numbering: tuple[ClassRow, ...] = Field(
        description="Every class: number, name, and images per split, as far as they are known."
    )


def dataset(card: DatasetCard) -> DatasetAnswer:
    """A dataset with its classes."""
    return DatasetAnswer(**card.model_dump(), numbering=card.class_rows)


class Datasets(BaseModel):
    """Every dataset: the built-in ones and the operator's folders."""

    items: list[DatasetCard]
    next_cursor: str | None = None


class Backbones(BaseModel):
    """Every backbone."""

    items: list[BackboneCard]
    next_cursor: str | None = None


class SuiteAnswer(BaseModel):
    """Recipes × tracks × seeds that belong together."""

    name: str = Field(examples=["digits-quick"])
    title: str
    tracks: tuple[str, ...] = Field(description="Slugs.")
    recipes: tuple[dict[str, Any], ...] = Field(description="As they are submitted.")
    seeds: tuple[int, ...]
    runs: int


class Suites(BaseModel):
    """Every suite."""

    items: list[SuiteAnswer]
    next_cursor: str | None = None


class Workers(BaseModel):
    """The workers that were heard of within the last hour."""

    items: list[WorkerAnswer]
    queues: list[QueueAnswer] = Field(description="What waits for them.")
    setbacks: list[SetbackAnswer] = Field(description="What waits because an attempt was lost: 50 at most.")
    next_cursor: str | None = None


def recipe_named(name: str) -> type[base.Recipe]:
    """The recipe class of a method.

    Raises:
        Problem: not-found, with the methods there are.
    """
    if name not in BY_NAME:
        raise Problem(
            problems.NOT_FOUND, f"there is no method {name[:80]!r}; known: {', '.join(sorted(BY_NAME))}"
        )
    return BY_NAME[name]


def methods() -> list[MethodAnswer]:
    """Every method's card."""
    return [MethodAnswer(**_card(recipe)) for recipe in RECIPES]


def method(recipe: type[base.Recipe]) -> MethodDetailAnswer:
    """One method with its hyper-parameters."""
    return MethodDetailAnswer(
        **_card(recipe),
        defaults=recipe.model_validate({}).model_dump(mode="json"),
        preset_values={
            name: recipe.from_preset(name).model_dump(mode="json") for name in sorted(recipe.presets)
        },
        json_schema=recipe.model_json_schema(),
    )


def worker(status: WorkerStatus) -> WorkerAnswer:
    """One worker."""
    offer = status.offer
    return WorkerAnswer(
        id=offer.id, queue=offer.queue, device=offer.device, datasets=None if offer.datasets is None else sorted(offer.datasets), info=status.info,
        registered_at=status.registered_at, seen_at=status.seen_at, silent_seconds=status.silent_seconds, stopped_at=status.stopped_at,
        runs=[lease.run_id for lease in status.leases], leases=[LeaseAnswer(**asdict(lease)) for lease in status.leases],
    )  # fmt: skip


def _card(recipe: type[base.Recipe]) -> dict[str, Any]:
    citation = recipe.citation
    return {
        "name": recipe.model_fields["name"].default,
        "title": recipe.title,
        "family": recipe.family,
        "summary": recipe.summary,
        "citation": citation and CitationAnswer(**citation.model_dump(), bibtex=citation.bibtex),
        "differs": recipe.differs,
        "classifiers": recipe.classifiers,
        "uses_memory": recipe.uses_memory,
        "min_exemplars": recipe.min_exemplars,
        "ranked": recipe.ranked,
        "presets": tuple(sorted(recipe.presets)),
    }
