"""Bodies about methods, datasets, backbones, suites and workers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.http import problems
from api.http.problems import Problem
from cil_core.spec.catalog import BackboneCard, ClassRow, DatasetCard, WeightsCard
from cil_core.spec.recipes import BY_NAME, RECIPES, base
from store.runs import WorkerStatus


class CitationAnswer(BaseModel):
    """The paper of a method."""

    key: str
    title: str
    authors: str
    venue: str
    year: int
    arxiv: str | None
    bibtex: str


class MethodAnswer(BaseModel):
    """A method and its requirements."""

    name: str = Field(examples=["icarl"])
    title: str = Field(examples=["iCaRL"])
    family: str
    summary: str
    citation: CitationAnswer | None = Field(description="None for a baseline.")
    differs: str = Field(description="Deviations of the defaults from the paper.")
    classifiers: tuple[str, ...] = Field(
        description="Its classifiers, one accuracy curve each; the first one ranks."
    )
    uses_memory: bool
    min_exemplars: int = Field(description="Minimum of exemplars per class, if it keeps any.")
    ranked: bool = Field(description="False for upper bounds, which are never ranked.")
    needs: str = Field(description="On a pre-trained track: frozen features, sites, or the whole network.")
    pretrained: str = Field(description="Whether a track must name published weights, may, or must not.")
    presets: tuple[str, ...] = Field(description='Names of presets: `{"name": …, "preset": …}`.')


class MethodDetailAnswer(MethodAnswer):
    """A method with its hyper-parameters."""

    defaults: dict[str, Any] = Field(description="The recipe with its default values.")
    preset_values: dict[str, dict[str, Any]] = Field(description="The complete recipe per preset.")
    json_schema: dict[str, Any] = Field(
        description="JSON Schema of the recipe; descriptions name the source of each default."
    )


class LeaseAnswer(BaseModel):
    """A lease: a run that a worker holds."""

    run_id: str
    attempt: int
    method: str
    track_slug: str
    seed: int
    until: datetime = Field(description="When the lease expires without a heartbeat.")
    seconds_left: float
    cancel_requested: bool


class QueueAnswer(BaseModel):
    """A queue with runs."""

    name: str
    length: int = Field(description="Queued runs, including those that wait for a retry.")
    ready: int = Field(description="Queued runs that a worker could claim now.")
    oldest: datetime | None = Field(description="When the oldest ready run became ready.")
    oldest_seconds: float | None


class SetbackAnswer(BaseModel):
    """A run that waits for a retry."""

    run_id: str
    method: str
    track_slug: str
    seed: int
    attempts: int
    reason: str | None
    not_before: datetime
    seconds_left: float


class WorkerAnswer(BaseModel):
    """A worker seen within the last hour."""

    id: str
    queue: str
    device: str
    datasets: list[str] | None = Field(description="Available datasets; None if all are.")
    info: dict[str, Any]
    registered_at: datetime
    seen_at: datetime
    silent_seconds: float
    stopped_at: datetime | None
    runs: list[str] = Field(description="Ids of the runs it holds.")
    leases: list[LeaseAnswer] = Field(description="The same runs, with the expiry of their leases.")


class WeightsAnswer(BaseModel):
    """Published weights of a backbone."""

    key: str = Field(description="Backbone and name, as they end a track's slug.")
    card: WeightsCard


class Weights(BaseModel):
    """Published weights."""

    items: list[WeightsAnswer]


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
    """Every dataset."""

    items: list[DatasetCard]
    next_cursor: str | None = None


class Backbones(BaseModel):
    """Every backbone."""

    items: list[BackboneCard]
    next_cursor: str | None = None


class SuiteAnswer(BaseModel):
    """A suite: recipes × tracks × seeds."""

    name: str = Field(examples=["digits-quick"])
    title: str
    tracks: tuple[str, ...] = Field(description="Slugs of the tracks.")
    recipes: tuple[dict[str, Any], ...] = Field(description="Recipes as submitted.")
    seeds: tuple[int, ...]
    runs: int


class Suites(BaseModel):
    """Every suite."""

    items: list[SuiteAnswer]
    next_cursor: str | None = None


class Workers(BaseModel):
    """Workers seen within the last hour."""

    items: list[WorkerAnswer]
    queues: list[QueueAnswer] = Field(description="Queues with runs.")
    setbacks: list[SetbackAnswer] = Field(description="At most 50 runs that wait for a retry.")
    next_cursor: str | None = None


def recipe_named(name: str) -> type[base.Recipe]:
    """The recipe class of a method.

    Raises:
        Problem: not-found, listing the known methods.
    """
    if name not in BY_NAME:
        raise Problem(problems.NOT_FOUND, f"no method {name[:80]!r}; known: {', '.join(sorted(BY_NAME))}")
    return BY_NAME[name]


def methods() -> list[MethodAnswer]:
    """The bodies for every method."""
    return [MethodAnswer(**_card(recipe)) for recipe in RECIPES]


def method(recipe: type[base.Recipe]) -> MethodDetailAnswer:
    """The body for one method."""
    return MethodDetailAnswer(
        **_card(recipe),
        defaults=recipe.model_validate({}).model_dump(mode="json"),
        preset_values={
            name: recipe.from_preset(name).model_dump(mode="json") for name in sorted(recipe.presets)
        },
        json_schema=recipe.model_json_schema(),
    )


def worker(status: WorkerStatus) -> WorkerAnswer:
    """The body for one worker."""
    offer = status.offer
    return WorkerAnswer(
        id=offer.id,
        queue=offer.queue,
        device=offer.device,
        datasets=None if offer.datasets is None else sorted(offer.datasets),
        info=status.info,
        registered_at=status.registered_at,
        seen_at=status.seen_at,
        silent_seconds=status.silent_seconds,
        stopped_at=status.stopped_at,
        runs=[lease.run_id for lease in status.leases],
        leases=[LeaseAnswer(**asdict(lease)) for lease in status.leases],
    )


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
        "needs": recipe.needs,
        "pretrained": recipe.pretrained,
        "presets": tuple(sorted(recipe.presets)),
    }
