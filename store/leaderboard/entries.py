"""`Entry`: a recipe on a track over all its seeds, and how it is computed from its runs.

Decisions:
    * Entries are computed from the rows of their runs. Nothing of them is stored, so nothing can be out of
      date.
    * An entry is described independently of the others; a copy gets its place among them
      (`store.leaderboard.ranking`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Row

from cil_core.spec.base import Frozen
from cil_core.spec.metrics import METRIC, METRICS, Metric, intransigence
from cil_core.spec.recipes import BY_NAME
from store.leaderboard.statistics import Statistic, describe

Trust = Literal["verified", "replayed"]


def _missing(metric: Metric) -> str:
    return f" (absent: {metric.undefined})" if metric.undefined else ""


@dataclass(frozen=True, slots=True)
class EntryRun:
    """The run an entry counts for one seed."""

    seed: int
    run_id: str
    device: str | None
    average_accuracy: float
    last_accuracy: float
    replayed: Annotated[
        bool | None,
        Field(
            description="Whether every replay of this run got the same results; None if none has finished."
        ),
    ]


class Entry(Frozen):
    """A row of a leaderboard: a recipe on a track, over all its seeds."""

    id: str
    rank: int | None = Field(
        description="Standard competition rank by the chosen sort: 1 is best, equal values share a rank "
        "(1, 1, 3). "
        "None for an entry without the value, for upper bounds and on tracks with a holdout, which are not "
        "ranked."
    )
    pareto: bool = Field(
        description="Whether no other competing entry is at least as good in average accuracy, kept bytes "
        "and training time, "
        "and better in one of them."
    )
    median_rank: float | None = Field(
        description="Median over its seeds of the rank by average accuracy among the ranked entries of "
        "this answer "
        "that have the seed; equal values share a rank (1, 1, 3)."
    )
    band: int | None = Field(
        description="Where average accuracy ranks: entries of a band do not differ significantly from its "
        "first one "
        "(paired t test over shared seeds, p ≥ 0.05 after Holm's correction; fewer than 3 seeds are no "
        "evidence). "
        "The first band is 1. None for other sorts and without a rank."
    )
    trust: Trust = Field(
        description="`verified`: it ran here. `replayed`: at least one of its runs was repeated, and every "
        "repetition agreed."
    )
    track_slug: str
    method: str
    title: str
    variant: str = Field(description="How the recipe differs from the method's defaults.")
    recipe: dict[str, Any]
    recipe_digest: str
    engine_version: str
    classifier: str
    runs: tuple[EntryRun, ...] = Field(description="One per seed, by seed.")
    metrics: dict[str, Statistic] = Field(
        description="Every number that is defined for all runs, by name: "
        + "; ".join(f"`{metric.name}`{_missing(metric)}" for metric in METRICS)
        + "."
    )
    curve: tuple[Statistic, ...] = Field(description="Accuracy over all seen classes after each task.")
    seen_classes: tuple[int, ...] = Field(description="Classes seen after each task.")
    exemplars: int
    counted_bytes: int
    kept_bytes: int
    parameters: int
    train_seconds: Statistic | None
    devices: tuple[str, ...]
    finished_at: datetime | None = Field(description="When the last of its runs finished.")


def value_of(entry: Entry, name: str) -> float | None:
    """The number by which an entry is sorted; None where it is undefined.

    Args:
        entry: the entry.
        name: a metric, `counted_bytes`, `kept_bytes`, `parameters` or `train_seconds`.
    """
    if name in METRIC:
        return entry.metrics[name].mean if name in entry.metrics else None
    if name == "train_seconds":
        return entry.train_seconds.mean if entry.train_seconds else None
    value: float = getattr(entry, name)
    return value


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of an entry: the values that its runs share, and one row per run, by seed."""

    shared: Row[Any]
    runs: list[Row[Any]]


def describe_entry(found: Found, joint: Sequence[float] | None, replays: Mapping[str, bool]) -> Entry:
    """The entry of these runs, without its place.

    Args:
        found: its runs.
        joint: accuracy of joint training on each task right after it; None if it has not run.
        replays: by run, whether all finished replays of it agreed.
    """
    shared, runs = found.shared, found.runs
    title, variant = _named(shared.method, json.dumps(shared.recipe))
    seconds = [run.train_seconds for run in runs if run.train_seconds is not None]
    # not validated: every value has just been read or computed, and validation would take most of the time
    return Entry.model_construct(
        id=runs[0].entry_id,
        rank=None,
        pareto=False,
        median_rank=None,
        band=None,
        trust=_trust([replays.get(run.run_id) for run in runs]),
        track_slug=runs[0].track_slug,
        method=shared.method,
        title=title,
        variant=variant,
        recipe=shared.recipe,
        recipe_digest=shared.recipe_digest,
        engine_version=shared.engine_version,
        classifier=runs[0].classifier,
        runs=tuple(_run(run, replays.get(run.run_id)) for run in runs),
        metrics=_metrics([run.metrics for run in runs], joint),
        curve=tuple(map(describe, zip(*(run.metrics["curve"] for run in runs), strict=True))),
        seen_classes=tuple(accumulate(shared.task_sizes or ())),
        exemplars=max(run.exemplars for run in runs),
        counted_bytes=max(run.counted_bytes for run in runs),
        kept_bytes=max(run.kept_bytes for run in runs),
        parameters=max(run.parameters for run in runs),
        train_seconds=describe(seconds) if seconds else None,
        devices=tuple(sorted({run.device for run in runs if run.device})),
        finished_at=max((run.finished_at for run in runs if run.finished_at), default=None),
    )


def _run(run: Row[Any], replayed: bool | None) -> EntryRun:
    return EntryRun(run.seed, run.run_id, run.device, run.average_accuracy, run.last_accuracy, replayed)


@lru_cache(maxsize=10_000)
def _named(method: str, recipe: str) -> tuple[str, str]:
    """Title and variant.

    Computing a variant validates every preset, and many leaderboards repeat a recipe.
    """
    known = BY_NAME[method].model_validate_json(recipe)
    return known.title, known.variant


def _trust(verdicts: list[bool | None]) -> Trust:
    return "replayed" if True in verdicts and False not in verdicts else "verified"


def _metrics(runs: list[dict[str, Any]], joint: Sequence[float] | None) -> dict[str, Statistic]:
    """Those that are defined for every run."""
    columns = {
        metric.name: [value for run in runs if (value := run.get(metric.name)) is not None]
        for metric in METRICS
    }
    if joint:
        columns["intransigence"] = [
            value
            for run in runs
            if run.get("curve_new") and (value := intransigence(joint, run["curve_new"])) is not None
        ]
    return {name: describe(values) for name, values in columns.items() if len(values) == len(runs)}
