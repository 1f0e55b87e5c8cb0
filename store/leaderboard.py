"""The leaderboard of a track: one entry for each recipe, over seeds and jobs.

Decisions:
    * The database ranks (an indexed aggregate over `summaries`), Python describes: only the runs of the entries that are shown are read.
    * Each method is ranked by its own first classifier, unless one is asked for.
    * An entry counts one run a seed, the last that finished. Results of different engine versions or different data are different entries.
    * Upper bounds such as `joint` are shown and never ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Any

from pydantic import Field
from sqlalchemy import TextClause, func, select, text
from sqlalchemy.orm import Session

from cil_core.frozen import Frozen
from cil_core.metrics import Summary as Metrics
from cil_core.recipes import BY_NAME
from store.errors import NotFound
from store.models import Run, Summary
from store.statistics import Statistic, describe

SORTS = {
    "average_accuracy": (Summary.average_accuracy, -1),
    "last_accuracy": (Summary.last_accuracy, -1),
    "forgetting": (Summary.forgetting, 1),
    "counted_bytes": (Summary.counted_bytes, 1),
    "kept_bytes": (Summary.kept_bytes, 1),
    "parameters": (Summary.parameters, 1),
    "train_seconds": (Summary.train_seconds, 1),
}
"""By what a leaderboard can be sorted, and whether less (1) or more (−1) comes first."""

_SCALARS = tuple(name for name in Metrics.model_fields if not name.startswith("curve"))
_COUNTED = text("summaries.counted")  # as the partial indexes have it
_RANKING = text("summaries.counted AND summaries.ranking")


class EntryRun(Frozen):
    """The run an entry counts for one seed."""

    seed: int
    run_id: str
    device: str | None
    average_accuracy: float
    last_accuracy: float


class Entry(Frozen):
    """A row of a leaderboard: a recipe on a track, over all its seeds."""

    id: str
    rank: int | None = Field(description="1 is best by the chosen sort; None for upper bounds, which are not ranked.")
    track_slug: str
    method: str
    title: str
    variant: str = Field(description="What tells the recipe from the method's defaults.")
    recipe: dict[str, Any]
    recipe_digest: str
    engine_version: str
    classifier: str
    runs: tuple[EntryRun, ...] = Field(description="One a seed, by seed.")
    metrics: dict[str, Statistic] = Field(description="Every reported number that is defined, by name.")
    curve: tuple[Statistic, ...] = Field(description="Accuracy over all seen classes after each task.")
    seen_classes: tuple[int, ...] = Field(description="Classes seen after each task.")
    exemplars: int
    counted_bytes: int
    kept_bytes: int
    parameters: int
    train_seconds: Statistic | None
    devices: tuple[str, ...]


def entries(
    session: Session, track_slug: str, classifier: str | None = None, *, sort: str = "average_accuracy", exemplar_free: bool = False, limit: int = 500
) -> list[Entry]:
    """The leaderboard of a track, best first; empty if nothing has finished on it.

    Args:
        session: any session.
        track_slug: which track.
        classifier: which accuracy curve; None takes the one each method is ranked by.
        sort: one of `SORTS`.
        exemplar_free: only entries that keep no exemplars.
        limit: how many entries at most.

    Raises:
        ValueError: for an unknown sort.
    """
    if sort not in SORTS:
        raise ValueError(f"a leaderboard cannot be sorted by {sort!r}; allowed: {', '.join(SORTS)}")
    column, direction = SORTS[sort]
    key = func.avg(column) * direction
    query = select(Summary.entry_id).where(Summary.track_slug == track_slug, *_curve(classifier)).group_by(Summary.entry_id)
    if exemplar_free:
        query = query.having(func.max(Summary.exemplars) == 0)
    ids = session.scalars(query.order_by(key.nulls_last(), Summary.entry_id).limit(limit)).all()
    return _ranked([_describe(rows) for rows in _runs_of(session, ids, classifier)])


def entries_by_id(session: Session, entry_ids: Sequence[str], classifier: str | None = None) -> list[Entry]:
    """These entries, in the order given, without ranks.

    Raises:
        NotFound: one of them has no finished run under this classifier.
    """
    found = {entry.id: entry for entry in (_describe(rows) for rows in _runs_of(session, entry_ids, classifier))}
    missing = [entry_id for entry_id in entry_ids if entry_id not in found]
    if missing:
        raise NotFound(f"no finished run of {', '.join(missing)}" + (f" under the classifier {classifier!r}" if classifier else ""))
    return [found[entry_id] for entry_id in entry_ids]


def _curve(classifier: str | None) -> tuple[Any, ...]:
    conditions: tuple[TextClause] = (_RANKING,) if classifier is None else (_COUNTED,)
    return conditions if classifier is None else (*conditions, Summary.classifier == classifier)


def _runs_of(session: Session, ids: Sequence[str], classifier: str | None) -> list[list[tuple[Summary, Run]]]:
    """For each of these entries that has any, its runs by seed."""
    query = select(Summary, Run).join(Run, Run.id == Summary.run_id).where(Summary.entry_id.in_(ids), *_curve(classifier))
    rows = [(summary, run) for summary, run in session.execute(query.order_by(Summary.entry_id, Summary.seed))]
    by_entry = {entry_id: list(group) for entry_id, group in groupby(rows, key=lambda row: row[0].entry_id)}
    return [by_entry[entry_id] for entry_id in ids if entry_id in by_entry]


def _ranked(unranked: list[Entry]) -> list[Entry]:
    rank, ranked = 0, []
    for entry in unranked:
        if BY_NAME[entry.method].ranked:
            rank += 1
            ranked.append(entry.model_copy(update={"rank": rank}))
        else:
            ranked.append(entry)
    return ranked


def _describe(rows: list[tuple[Summary, Run]]) -> Entry:
    summaries, runs = [row[0] for row in rows], [row[1] for row in rows]
    metrics = [Metrics.model_validate(summary.metrics) for summary in summaries]
    recipe = BY_NAME[runs[0].method].model_validate(runs[0].recipe)
    seconds = [summary.train_seconds for summary in summaries if summary.train_seconds is not None]
    return Entry(
        id=summaries[0].entry_id, rank=None, track_slug=summaries[0].track_slug, method=recipe.name, title=recipe.title, variant=recipe.variant,
        recipe=runs[0].recipe, recipe_digest=runs[0].recipe_digest, engine_version=runs[0].engine_version, classifier=summaries[0].classifier,
        runs=tuple(map(_entry_run, summaries, runs)), metrics=_scalars(metrics), curve=tuple(map(describe, zip(*(one.curve for one in metrics), strict=True))),
        seen_classes=tuple(accumulate(runs[0].task_sizes or ())), exemplars=max(one.exemplars for one in summaries),
        counted_bytes=max(one.counted_bytes for one in summaries), kept_bytes=max(one.kept_bytes for one in summaries),
        parameters=max(one.parameters for one in summaries), train_seconds=describe(seconds) if seconds else None,
        devices=tuple(sorted({run.device for run in runs if run.device})),
    )  # fmt: skip


def _entry_run(summary: Summary, run: Run) -> EntryRun:
    return EntryRun(seed=summary.seed, run_id=run.id, device=run.device, average_accuracy=summary.average_accuracy, last_accuracy=summary.last_accuracy)


def _scalars(metrics: list[Metrics]) -> dict[str, Statistic]:
    columns = {name: [getattr(one, name) for one in metrics] for name in _SCALARS}
    return {name: describe(values) for name, values in columns.items() if None not in values}
