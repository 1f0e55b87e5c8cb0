"""The leaderboard of a track: one entry for each recipe, over seeds and jobs.

Decisions:
    * The database ranks (an indexed aggregate over `summaries`), Python describes: only the runs of the entries that are shown are read.
    * Each method is ranked by its own first classifier, unless one is asked for.
    * An entry counts one run a seed, the last that finished. Results of different engine versions or different data are different entries.
    * Upper bounds such as `joint` are shown and never ranked; nor is anything on a track with a holdout, which is for tuning.
    * A replay is never counted; it says of the run it repeats whether it can be trusted.
    * Intransigence compares with joint training on the same track, so an entry has it once `joint` has run there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, groupby
from statistics import median
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Row, TextClause, func, select, text
from sqlalchemy.orm import Session

from cil_core.frozen import Frozen
from cil_core.metrics import Summary as Metrics
from cil_core.metrics import intransigence
from cil_core.recipes import BY_NAME
from store.errors import NotFound
from store.models import Replay, Run, Summary, Track
from store.significance import ALPHA, holm, t_test
from store.statistics import MIN_SEEDS_FOR_INTERVAL, Statistic, describe

_METRICS = tuple(name for name in Metrics.model_fields if not name.startswith("curve"))
_LESS_IS_BETTER = frozenset({"forgetting", "forgetting_clipped", "intransigence"})
_COLUMNS = {
    "average_accuracy": Summary.average_accuracy,
    "last_accuracy": Summary.last_accuracy,
    "forgetting": Summary.forgetting,
    "counted_bytes": Summary.counted_bytes,
    "kept_bytes": Summary.kept_bytes,
    "parameters": Summary.parameters,
    "train_seconds": Summary.train_seconds,
    **{name: Summary.metrics[name].as_float() for name in _METRICS if name not in {"average_accuracy", "last_accuracy", "forgetting"}},
}
_SCALARS = (*_METRICS, "intransigence")
SORTS = {name: -1 if name in _SCALARS and name not in _LESS_IS_BETTER else 1 for name in (*_COLUMNS, "intransigence")}
"""By what a leaderboard can be sorted, and whether less (1) or more (−1) comes first."""

_OF_A_RUN = (
    Summary.entry_id, Summary.track_slug, Summary.classifier, Summary.seed, Summary.run_id, Summary.average_accuracy, Summary.last_accuracy, Summary.metrics,
    Summary.exemplars, Summary.counted_bytes, Summary.kept_bytes, Summary.parameters, Summary.train_seconds, Run.device, Run.finished_at,
)  # fmt: skip
_OF_AN_ENTRY = (Run.id, Run.method, Run.recipe, Run.recipe_digest, Run.engine_version, Run.task_sizes)
"""The same for all runs of an entry: read once."""
_COUNTED = text("summaries.counted")  # as the partial indexes have it
_RANKING = text("summaries.counted AND summaries.ranking")


Trust = Literal["verified", "replayed"]


class EntryRun(Frozen):
    """The run an entry counts for one seed."""

    seed: int
    run_id: str
    device: str | None
    average_accuracy: float
    last_accuracy: float
    replayed: bool | None = Field(description="Whether every replay of this run got the same results; None if none has finished.")


class Entry(Frozen):
    """A row of a leaderboard: a recipe on a track, over all its seeds."""

    id: str
    rank: int | None = Field(description="1 is best by the chosen sort; None for upper bounds and on tracks with a holdout, which are not ranked.")
    pareto: bool = Field(
        description="Whether no ranked entry of this answer is at least as good in average accuracy, kept bytes and training time, and better in one of them."
    )
    median_rank: float | None = Field(
        description="Median over its seeds of the rank among the ranked entries of this answer that have the seed, by average accuracy; ties share their mean rank."
    )
    band: int | None = Field(
        description="Where average accuracy ranks: entries of one band cannot be told from its first one by a paired t test over shared seeds "
        "(p ≥ 0.05, corrected by Holm for all that follow; fewer than 3 seeds tell nothing). The first band is 1. None for other sorts and without a rank."
    )
    trust: Trust = Field(description="`verified`: it ran here. `replayed`: at least one of its runs was executed a second time, and every repetition agreed.")
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
    finished_at: datetime | None = Field(description="When the last of its runs finished.")


def entries(
    session: Session,
    track_slug: str,
    classifier: str | None = None,
    *,
    sort: str = "average_accuracy",
    exemplar_free: bool = False,
    best_per_method: bool = False,
    limit: int = 500,
) -> list[Entry]:
    """The leaderboard of a track, best first; empty if nothing has finished on it.

    Args:
        session: any session.
        track_slug: which track.
        classifier: which accuracy curve; None takes the one each method is ranked by.
        sort: one of `SORTS`.
        exemplar_free: only entries that keep no exemplars.
        best_per_method: of each method only the entry that comes first.
        limit: how many entries at most.

    Raises:
        ValueError: for an unknown sort.
    """
    if sort not in SORTS:
        raise ValueError(f"a leaderboard cannot be sorted by {sort!r}; allowed: {', '.join(SORTS)}")
    key = func.avg(_COLUMNS[sort]) * SORTS[sort] if sort in _COLUMNS else -func.avg(Summary.average_accuracy)
    query = select(Summary.entry_id).where(Summary.track_slug == track_slug, *_curve(classifier)).group_by(Summary.entry_id)
    if exemplar_free:
        query = query.having(func.max(Summary.exemplars) == 0)
    ids = session.scalars(query.order_by(key.nulls_last(), Summary.entry_id).limit(limit)).all()
    joint = _joint(session, track_slug) if ids else None
    rows = _read(session, ids, classifier)
    replays = _replays(session, rows)
    found = [_describe(one, joint, replays) for one in rows]
    if sort not in _COLUMNS:  # computed here: the database does not know it
        found.sort(key=lambda entry: entry.metrics[sort].mean * SORTS[sort] if sort in entry.metrics else math.inf)
    if best_per_method:
        found = _first_of_each_method(found)
    if _is_for_tuning(session, track_slug):
        return _on_frontier(found)
    ranked = _ranked(found)
    return _on_frontier(_in_bands(ranked) if sort == "average_accuracy" else ranked)


def best_of_each_method(found: Iterable[Entry]) -> dict[str, Entry]:
    """By method, the entry with the best average incremental accuracy; of equal ones the first."""
    best: dict[str, Entry] = {}
    for entry in found:
        if entry.method not in best or entry.metrics["average_accuracy"].mean > best[entry.method].metrics["average_accuracy"].mean:
            best[entry.method] = entry
    return best


def entries_by_id(session: Session, entry_ids: Sequence[str], classifier: str | None = None) -> list[Entry]:
    """These entries, in the order given, without ranks.

    Raises:
        NotFound: one of them has no finished run under this classifier.
    """
    rows = _read(session, entry_ids, classifier)
    replays = _replays(session, rows)
    found = {entry.id: entry for entry in (_describe(one, None, replays) for one in rows)}
    missing = [entry_id for entry_id in entry_ids if entry_id not in found]
    if missing:
        raise NotFound(f"no finished run of {', '.join(missing)}" + (f" under the classifier {classifier!r}" if classifier else ""))
    return [found[entry_id] for entry_id in entry_ids]


def _curve(classifier: str | None) -> tuple[Any, ...]:
    conditions: tuple[TextClause] = (_RANKING,) if classifier is None else (_COUNTED,)
    return conditions if classifier is None else (*conditions, Summary.classifier == classifier)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is read of an entry: what all its runs share, and a row of `_OF_A_RUN` for each, by seed."""

    shared: Row[Any]
    runs: list[Row[Any]]


def _read(session: Session, ids: Sequence[str], classifier: str | None) -> list[_Found]:
    """Those of these entries that have any run, in their order."""
    query = select(*_OF_A_RUN).join(Run, Run.id == Summary.run_id).where(Summary.entry_id.in_(ids), *_curve(classifier))
    rows = session.execute(query.order_by(Summary.entry_id, Summary.seed)).all()
    runs = {entry_id: list(group) for entry_id, group in groupby(rows, key=lambda row: row.entry_id)}
    first = [of_one[0].run_id for of_one in runs.values()]
    shared = {row.id: row for row in session.execute(select(*_OF_AN_ENTRY).where(Run.id.in_(first)))}
    return [_Found(shared[runs[entry_id][0].run_id], runs[entry_id]) for entry_id in ids if entry_id in runs]


def _first_of_each_method(found: list[Entry]) -> list[Entry]:
    first: dict[str, Entry] = {}
    for entry in found:
        first.setdefault(entry.method, entry)
    return list(first.values())


def _replays(session: Session, found: list[_Found]) -> dict[str, bool]:
    """By run, whether all finished replays of it agreed."""
    verdicts: dict[str, bool] = {}
    runs = [run.run_id for one in found for run in one.runs]
    for run_id, agrees in session.execute(select(Replay.original_id, Replay.agrees).where(Replay.original_id.in_(runs), Replay.agrees.is_not(None))):
        verdicts[run_id] = verdicts.get(run_id, True) and bool(agrees)
    return verdicts


def _joint(session: Session, track_slug: str) -> tuple[float, ...] | None:
    """Accuracy of joint training on each task right after it, mean over its runs; None if it has not run on this track."""
    query = select(Summary.metrics).join(Run, Run.id == Summary.run_id).where(Summary.track_slug == track_slug, Run.method == "joint", _RANKING)
    curves = [metrics["curve_new"] for metrics in session.scalars(query) if metrics.get("curve_new")]
    return tuple(math.fsum(column) / len(column) for column in zip(*curves, strict=True)) or None


def _is_for_tuning(session: Session, track_slug: str) -> bool:
    track = session.get(Track, track_slug)
    return track is not None and bool(track.spec["holdout"])


def _ranked(unranked: list[Entry]) -> list[Entry]:
    rank, ranked, medians = 0, [], _median_ranks([entry for entry in unranked if BY_NAME[entry.method].ranked])
    for entry in unranked:
        if BY_NAME[entry.method].ranked:
            rank += 1
            ranked.append(entry.model_copy(update={"rank": rank, "median_rank": medians[entry.id]}))
        else:
            ranked.append(entry)
    return ranked


def _in_bands(found: list[Entry]) -> list[Entry]:
    """The same, ranked ones with their band."""
    bands: dict[str, int] = {}
    left, number = [entry for entry in found if entry.rank is not None], 0
    while left:
        number += 1
        tested = holm([_p_against(left[0], other) for other in left[1:]])
        end = next((place for place, p in enumerate(tested, start=1) if p < ALPHA), len(left))
        bands |= {entry.id: number for entry in left[:end]}
        left = left[end:]
    return [entry.model_copy(update={"band": bands[entry.id]}) if entry.id in bands else entry for entry in found]


def _p_against(first: Entry, other: Entry) -> float:
    """Of the paired t test; 1 with too few seeds in common."""
    mine, theirs = ({run.seed: run.average_accuracy for run in entry.runs} for entry in (first, other))
    differences = [mine[seed] - theirs[seed] for seed in mine.keys() & theirs.keys()]
    return t_test(differences) if len(differences) >= MIN_SEEDS_FOR_INTERVAL else 1.0


def _median_ranks(found: list[Entry]) -> dict[str, float]:
    """By entry, the median over its seeds of its rank among those that have the seed."""
    of_seed: dict[int, list[float]] = {}
    for entry in found:
        for run in entry.runs:
            of_seed.setdefault(run.seed, []).append(run.average_accuracy)
    ordered = {seed: sorted(values, reverse=True) for seed, values in of_seed.items()}
    return {entry.id: median(_rank_in(ordered[run.seed], run.average_accuracy) for run in entry.runs) for entry in found}


def _rank_in(descending: list[float], value: float) -> float:
    return 1 + descending.index(value) + (descending.count(value) - 1) / 2


def _on_frontier(found: list[Entry]) -> list[Entry]:
    """The same, with those marked that nobody dominates."""
    costs = {entry.id: _costs(entry) for entry in found if BY_NAME[entry.method].ranked}
    frontier = {
        mine
        for mine, cost in costs.items()
        if not any(other != cost and all(theirs <= own for theirs, own in zip(other, cost, strict=True)) for other in costs.values())
    }
    return [entry.model_copy(update={"pareto": True}) if entry.id in frontier else entry for entry in found]


def _costs(entry: Entry) -> tuple[float, float, float]:
    """What should be small: error, bytes, seconds; a time that was not recorded dominates nothing."""
    seconds = entry.train_seconds.mean if entry.train_seconds else math.inf
    return (-entry.metrics["average_accuracy"].mean, entry.kept_bytes, seconds)


def _describe(found: _Found, joint: Sequence[float] | None, replays: Mapping[str, bool]) -> Entry:
    shared, runs = found.shared, found.runs
    metrics = [_metrics(run.metrics, joint) for run in runs]
    title, variant = _named(shared.method, json.dumps(shared.recipe, sort_keys=True))
    seconds = [run.train_seconds for run in runs if run.train_seconds is not None]
    return Entry.model_construct(  # every value has just been read or computed: validating them would take most of a leaderboard's time
        id=runs[0].entry_id, rank=None, pareto=False, median_rank=None, band=None, trust=_trust([replays.get(run.run_id) for run in runs]),
        track_slug=runs[0].track_slug, method=shared.method, title=title, variant=variant,
        recipe=shared.recipe, recipe_digest=shared.recipe_digest, engine_version=shared.engine_version, classifier=runs[0].classifier,
        runs=tuple(_entry_run(run, replays.get(run.run_id)) for run in runs), metrics=_scalars(metrics),
        curve=tuple(map(describe, zip(*(one["curve"] for one in metrics), strict=True))),
        seen_classes=tuple(accumulate(shared.task_sizes or ())), exemplars=max(run.exemplars for run in runs),
        counted_bytes=max(run.counted_bytes for run in runs), kept_bytes=max(run.kept_bytes for run in runs),
        parameters=max(run.parameters for run in runs), train_seconds=describe(seconds) if seconds else None,
        devices=tuple(sorted({run.device for run in runs if run.device})),
        finished_at=max((run.finished_at for run in runs if run.finished_at), default=None),
    )  # fmt: skip


def _metrics(metrics: dict[str, Any], joint: Sequence[float] | None) -> dict[str, Any]:
    new = metrics.get("curve_new")
    return {**metrics, "intransigence": intransigence(joint, new) if joint and new else None}


@lru_cache(maxsize=10_000)
def _named(method: str, recipe: str) -> tuple[str, str]:
    """Title and variant; telling the variant validates every preset, and the same recipes stand on many leaderboards."""
    known = BY_NAME[method].model_validate_json(recipe)
    return known.title, known.variant


def _trust(verdicts: list[bool | None]) -> Trust:
    return "replayed" if True in verdicts and False not in verdicts else "verified"


def _entry_run(run: Row[Any], replayed: bool | None) -> EntryRun:
    return EntryRun.model_construct(
        seed=run.seed, run_id=run.run_id, device=run.device, average_accuracy=run.average_accuracy, last_accuracy=run.last_accuracy, replayed=replayed
    )


def _scalars(metrics: list[dict[str, Any]]) -> dict[str, Statistic]:
    columns = {name: [one[name] for one in metrics if one.get(name) is not None] for name in _SCALARS}
    return {name: describe(values) for name, values in columns.items() if len(values) == len(metrics)}
