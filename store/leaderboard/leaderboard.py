"""The leaderboard of a track: one entry per recipe, over seeds and jobs.

Decisions:
    * The database orders (an indexed aggregate over `summaries`), Python describes: only runs of the shown
      entries are read.
    * A finished run never changes, so a process describes an entry with the same runs and replays once.
    * Each method is ranked by its own first classifier, unless the caller chooses one.
    * An entry counts one run per seed, the last that finished. Other engine versions or data make other
      entries.
    * Upper bounds such as `joint` are shown and never ranked; nor is anything on a track with a holdout, for
      tuning, or on images that its pre-trained weights were trained on.
    * A replay is never counted; it shows whether the run it repeats can be trusted.
    * Intransigence compares with joint training on the same track, so an entry has it once `joint` has run
      there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.orm import Session

from cil_core.spec.metrics import METRICS
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.weights import weights_key
from cil_core.spec.weights_cards import overlap_of
from store.database.errors import NotFound
from store.database.models import Replay, Run, Summary, TrackRow
from store.leaderboard.entries import Entry, Found, describe_entry, value_of
from store.leaderboard.lru_cache import SharedCache
from store.leaderboard.ranking import Contender, comparable, placements

_COSTS = ("counted_bytes", "kept_bytes", "parameters", "train_seconds")
_COLUMNS = {
    metric.name: getattr(Summary, metric.name, Summary.metrics[metric.name].as_float())
    for metric in METRICS
    if metric.in_summary
} | {name: getattr(Summary, name) for name in _COSTS}
SORTS = {metric.name: -1 if metric.better == "more" else 1 for metric in METRICS} | dict.fromkeys(_COSTS, 1)
"""By name, what a leaderboard can be sorted by: 1 if less comes first, −1 if more does."""

_RUN_COLUMNS = (
    Summary.entry_id,
    Summary.track_slug,
    Summary.classifier,
    Summary.seed,
    Summary.run_id,
    Summary.average_accuracy,
    Summary.last_accuracy,
    Summary.metrics,
    Summary.exemplars,
    Summary.counted_bytes,
    Summary.kept_bytes,
    Summary.parameters,
    Summary.train_seconds,
    Run.device,
    Run.finished_at,
)
_ENTRY_COLUMNS = (Run.id, Run.method, Run.recipe, Run.recipe_digest, Run.engine_version, Run.task_sizes)
"""Equal for all runs of an entry: read once."""
_COUNTED = text("summaries.counted")  # as the partial indexes have it
_RANKING = text("summaries.counted AND summaries.ranking")
_RECENT: SharedCache[tuple[Any, ...], Entry] = SharedCache(1000)
"""An entry takes about ten kilobytes."""


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
    """The leaderboard of a track, best first; empty if no run has finished on it.

    Args:
        session: any session.
        track_slug: which track.
        classifier: which accuracy curve; None takes the one each method is ranked by.
        sort: one of `SORTS`.
        exemplar_free: only entries that keep no exemplars.
        best_per_method: only the first entry of each method.
        limit: how many entries at most.

    Raises:
        ValueError: for an unknown sort.
    """
    if sort not in SORTS:
        raise ValueError(f"a leaderboard cannot be sorted by {sort!r}; allowed: {', '.join(SORTS)}")
    ids = _first_ids(session, track_slug, classifier, sort, exemplar_free, limit)
    joint = _joint(session, track_slug) if ids else None
    found = _described(session, ids, classifier, joint)
    found.sort(key=lambda entry: _place(entry, sort))
    if best_per_method:
        found = _first_of_each_method(found)
    contenders = [_contender(entry, sort) for entry in found if BY_NAME[entry.method].ranked]
    places = placements(contenders, ranked=_is_ranked(session, track_slug), banded=sort == "average_accuracy")
    return [
        entry.model_copy(update=asdict(places[entry.id])) if entry.id in places else entry for entry in found
    ]


def best_of_each_method(found: Iterable[Entry]) -> dict[str, Entry]:
    """By method, the entry with the best average incremental accuracy, the first of equal ones."""
    best: dict[str, Entry] = {}
    for entry in found:
        if (
            entry.method not in best
            or entry.metrics["average_accuracy"].mean > best[entry.method].metrics["average_accuracy"].mean
        ):
            best[entry.method] = entry
    return best


def entries_by_id(session: Session, entry_ids: Sequence[str], classifier: str | None = None) -> list[Entry]:
    """These entries, in the order given, without ranks.

    Raises:
        NotFound: one of them has no finished run under this classifier.
    """
    found = {entry.id: entry for entry in _described(session, entry_ids, classifier, None)}
    missing = [entry_id for entry_id in entry_ids if entry_id not in found]
    if missing:
        raise NotFound(
            f"no finished run of {', '.join(missing)}"
            + (f" under the classifier {classifier!r}" if classifier else "")
        )
    return [found[entry_id] for entry_id in entry_ids]


def _first_ids(
    session: Session, track_slug: str, classifier: str | None, sort: str, exemplar_free: bool, limit: int
) -> Sequence[str]:
    """The first entries in the database's order, which is by average accuracy if it lacks the number."""
    key = func.avg(_COLUMNS[sort]) * SORTS[sort] if sort in _COLUMNS else -func.avg(Summary.average_accuracy)
    query = (
        select(Summary.entry_id)
        .where(Summary.track_slug == track_slug, *_curve(classifier))
        .group_by(Summary.entry_id)
    )
    if exemplar_free:
        query = query.having(func.max(Summary.exemplars) == 0)
    return session.scalars(query.order_by(key.nulls_last(), Summary.entry_id).limit(limit)).all()


def _score(entry: Entry, sort: str) -> float | None:
    """The number that ranks an entry, the more the better; None where it is undefined."""
    value = value_of(entry, sort)
    return None if value is None else -SORTS[sort] * value


def _place(entry: Entry, sort: str) -> tuple[bool, float]:
    """Sorts entries by score, the best first.

    Equal ones keep their order; those without a score come last.
    """
    score = _score(entry, sort)
    return (True, 0.0) if score is None else (False, -comparable(score))


def _curve(classifier: str | None) -> tuple[Any, ...]:
    conditions: tuple[TextClause] = (_RANKING,) if classifier is None else (_COUNTED,)
    return conditions if classifier is None else (*conditions, Summary.classifier == classifier)


def _described(
    session: Session, ids: Sequence[str], classifier: str | None, joint: tuple[float, ...] | None
) -> list[Entry]:
    """Those of these entries that have runs, in their order and without places.

    Only entries that this process has not described before are read.
    """
    runs = _runs(session, ids, classifier)
    replays = _replays(session, [run_id for of_one in runs.values() for run_id in of_one])
    keys = {
        entry_id: (classifier, joint, *((run_id, replays.get(run_id)) for run_id in of_one))
        for entry_id, of_one in runs.items()
    }
    described = {entry_id: entry for entry_id, key in keys.items() if (entry := _RECENT.get(key)) is not None}
    for found in _read(
        session,
        {entry_id: of_one for entry_id, of_one in runs.items() if entry_id not in described},
        classifier,
    ):
        entry = describe_entry(found, joint, replays)
        described[entry.id] = entry
        _RECENT.keep(keys[entry.id], entry)
    return [described[entry_id] for entry_id in ids if entry_id in described]


def _runs(session: Session, ids: Sequence[str], classifier: str | None) -> dict[str, list[str]]:
    """By entry, the runs it counts, by seed."""
    query = (
        select(Summary.entry_id, Summary.run_id)
        .where(Summary.entry_id.in_(ids), *_curve(classifier))
        .order_by(Summary.entry_id, Summary.seed)
    )
    return {
        entry_id: [run_id for _, run_id in group]
        for entry_id, group in groupby(session.execute(query), key=lambda row: row[0])
    }


def _read(session: Session, runs: Mapping[str, list[str]], classifier: str | None) -> list[Found]:
    """The rows of these entries."""
    if not runs:
        return []
    query = (
        select(*_RUN_COLUMNS)
        .join(Run, Run.id == Summary.run_id)
        .where(Summary.entry_id.in_(runs), *_curve(classifier))
    )
    rows = session.execute(query.order_by(Summary.entry_id, Summary.seed)).all()
    shared = {
        row.id: row
        for row in session.execute(
            select(*_ENTRY_COLUMNS).where(Run.id.in_([of_one[0] for of_one in runs.values()]))
        )
    }
    return [
        Found(shared[runs[entry_id][0]], list(group))
        for entry_id, group in groupby(rows, key=lambda row: row.entry_id)
    ]


def _first_of_each_method(found: list[Entry]) -> list[Entry]:
    first: dict[str, Entry] = {}
    for entry in found:
        first.setdefault(entry.method, entry)
    return list(first.values())


def _replays(session: Session, run_ids: Sequence[str]) -> dict[str, bool]:
    """By run, whether all finished replays of it agreed."""
    verdicts: dict[str, bool] = {}
    for run_id, agrees in session.execute(
        select(Replay.original_id, Replay.agrees).where(
            Replay.original_id.in_(run_ids), Replay.agrees.is_not(None)
        )
    ):
        verdicts[run_id] = verdicts.get(run_id, True) and bool(agrees)
    return verdicts


def _joint(session: Session, track_slug: str) -> tuple[float, ...] | None:
    """Accuracy of joint training on each task right after it, mean over its runs.

    None if it has not run here.
    """
    query = (
        select(Summary.metrics)
        .join(Run, Run.id == Summary.run_id)
        .where(Summary.track_slug == track_slug, Run.method == "joint", _RANKING)
    )
    curves = [metrics["curve_new"] for metrics in session.scalars(query) if metrics.get("curve_new")]
    return tuple(math.fsum(column) / len(column) for column in zip(*curves, strict=True)) or None


def _is_ranked(session: Session, track_slug: str) -> bool:
    """False for tuning, and where the weights were trained on images of the dataset."""
    row = session.get(TrackRow, track_slug)
    if row is None:
        return True
    key = weights_key(row.backbone, row.spec["pretrained"]) if "pretrained" in row.spec else None
    return not row.spec["holdout"] and overlap_of(key, row.dataset) != "images"


def _contender(entry: Entry, sort: str) -> Contender:
    return Contender(
        id=entry.id,
        accuracies={run.seed: run.average_accuracy for run in entry.runs},
        kept_bytes=entry.kept_bytes,
        train_seconds=value_of(entry, "train_seconds"),
        score=_score(entry, sort),
    )
