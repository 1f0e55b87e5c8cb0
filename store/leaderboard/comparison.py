"""Entries of one track compared with each other, and methods over several tracks.

Decisions:
    * One entry is the baseline: every other is compared with it, over the seeds that both have.
    * Differences of recipes and environments leave out what is equal.
    * Over several tracks the best entry represents its method on each. Average ranks need every method on
      every track; other methods are left out and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from cil_core.spec.base import Frozen
from cil_core.spec.metrics import AccuracyMatrix
from cil_core.spec.recipes.base import flat
from store.database.errors import NotComparable
from store.database.models import Run, TaskResult
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import best_of_each_method, entries, entries_by_id
from store.leaderboard.significance import PairedTest, Ranking, corrected, paired, rank
from store.leaderboard.tracks import get_track

MOST_ENTRIES = 8
METRICS = ("average_accuracy", "last_accuracy")
_PER_RUN = frozenset({"attempt_seconds", "peak_host_bytes", "peak_device_bytes"})
"""Values that differ between runs on one machine."""


class Difference(Frozen):
    """An entry compared with the baseline."""

    entry: str
    tests: dict[str, PairedTest] = Field(
        description="By number: average_accuracy, last_accuracy. Positive where this entry is better."
    )


class Matrix(Frozen):
    """The task × task accuracy matrix of an entry, as the mean over its seeds."""

    entry: str
    accuracy: tuple[tuple[float, ...], ...] = Field(
        description="Row t: accuracy on the test images of each task seen, after task t."
    )
    forgetting: tuple[float, ...] = Field(
        description="Per task but the last, mean over seeds: best accuracy before the end minus accuracy "
        "at the end."
    )


class Comparison(Frozen):
    """Two to eight entries of one track."""

    track_slug: str
    baseline: str
    items: tuple[Entry, ...] = Field(description="In the requested order, without ranks.")
    differences: tuple[Difference, ...]
    matrices: tuple[Matrix, ...]
    recipe_differences: dict[str, tuple[Any, ...]] = Field(
        description="Hyper-parameters that differ (of a schedule as `schedule.field`), one value per entry; "
        "null where an entry lacks it."
    )
    environment_differences: dict[str, tuple[Any, ...]] = Field(
        description="Properties of the machines and software that differ: all values of each entry."
    )


class TracksComparison(Frozen):
    """Methods over several tracks."""

    tracks: tuple[str, ...]
    ranking: Ranking
    scores: dict[str, tuple[float, ...]] = Field(
        description="Average incremental accuracy of each method's best entry, one per track."
    )
    left_out: tuple[str, ...] = Field(description="Methods that are not on every track.")


def compare(
    session: Session, entry_ids: Sequence[str], *, baseline: str | None = None, classifier: str | None = None
) -> Comparison:
    """Compare entries of one track.

    Args:
        session: any session.
        entry_ids: two to eight different ones, of one track.
        baseline: one of them; the first if not given.
        classifier: which accuracy curve; None takes the one each method is ranked by.

    Raises:
        NotFound: an entry does not exist, or not under this classifier.
        NotComparable: too few, too many or repeated entries, or entries of different tracks.
    """
    _check_entries(entry_ids)
    baseline = baseline or entry_ids[0]
    if baseline not in entry_ids:
        raise NotComparable(f"the baseline {baseline!r} is not among the entries")
    items = entries_by_id(session, entry_ids, classifier)
    tracks = sorted({item.track_slug for item in items})
    if len(tracks) > 1:
        raise NotComparable(
            f"the entries belong to different tracks: {', '.join(tracks)};"
            " compare methods over tracks instead"
        )
    runs = _runs(session, items)
    return Comparison(
        track_slug=tracks[0],
        baseline=baseline,
        items=tuple(items),
        differences=_differences(items, baseline),
        matrices=tuple(_matrix(session, item) for item in items),
        recipe_differences=_unequal([flat(item.recipe) for item in items]),
        environment_differences=_unequal(
            [_environment([runs[run.run_id] for run in item.runs]) for item in items]
        ),
    )


def compare_tracks(session: Session, slugs: Sequence[str]) -> TracksComparison:
    """Rank methods over several tracks.

    Raises:
        NotFound: one of the tracks has no jobs.
        NotComparable: fewer than two tracks, one that is for tuning, or fewer than two methods on all of
            them.
    """
    if len(set(slugs)) != len(slugs) or len(slugs) < 2:
        raise NotComparable(f"at least 2 different tracks are needed, not {len(set(slugs))}")
    for_tuning = [slug for slug in slugs if get_track(session, slug).spec["holdout"]]
    if for_tuning:
        raise NotComparable(
            f"{', '.join(for_tuning)} test on held-out training images, so nothing is ranked there"
        )
    best: list[dict[str, float]] = []
    for slug in slugs:
        ranked = best_of_each_method(entry for entry in entries(session, slug) if entry.rank is not None)
        best.append({entry.title: entry.metrics["average_accuracy"].mean for entry in ranked.values()})
    everywhere = sorted(set.intersection(*map(set, best)))
    if len(everywhere) < 2:
        raise NotComparable(
            f"{len(everywhere)} method(s) have entries on all of {', '.join(slugs)}; at least 2 are needed"
        )
    return TracksComparison(
        tracks=tuple(slugs),
        ranking=rank(everywhere, [[scores[name] for name in everywhere] for scores in best]),
        scores={name: tuple(scores[name] for scores in best) for name in everywhere},
        left_out=tuple(sorted(set.union(*map(set, best)) - set(everywhere))),
    )


def _check_entries(entry_ids: Sequence[str]) -> None:
    different = len(set(entry_ids))
    if not 2 <= different == len(entry_ids) <= MOST_ENTRIES:
        raise NotComparable(
            f"2 to {MOST_ENTRIES} different entries can be compared;"
            f" {len(entry_ids)} were given, {different} of them different"
        )


def _differences(items: Sequence[Entry], baseline: str) -> tuple[Difference, ...]:
    reference = next(item for item in items if item.id == baseline)
    others = [item for item in items if item.id != baseline]
    by_metric = {
        metric: corrected([_paired(item, reference, metric) for item in others]) for metric in METRICS
    }
    return tuple(
        Difference(entry=item.id, tests={metric: tests[place] for metric, tests in by_metric.items()})
        for place, item in enumerate(others)
    )


def _paired(item: Entry, reference: Entry, metric: str) -> PairedTest:
    mine, theirs = ({run.seed: getattr(run, metric) for run in entry.runs} for entry in (item, reference))
    seeds = sorted(mine.keys() & theirs.keys())
    return paired(seeds, [mine[seed] for seed in seeds], [theirs[seed] for seed in seeds])


def _matrix(session: Session, item: Entry) -> Matrix:
    query = select(TaskResult).where(
        TaskResult.run_id.in_([run.run_id for run in item.runs]), TaskResult.classifier == item.classifier
    )
    rows = session.scalars(query.order_by(TaskResult.run_id, TaskResult.task)).all()
    by_run = [list(group) for _, group in groupby(rows, key=lambda row: row.run_id)]
    runs = [AccuracyMatrix([row.correct for row in run], run[-1].test_images) for run in by_run]
    mean = np.mean([run.accuracy for run in runs], axis=0)
    # forgetting of each run, then the mean, as on the leaderboard
    forgetting = np.mean([run.forgetting_terms() for run in runs], axis=0)
    return Matrix(
        entry=item.id,
        accuracy=tuple(tuple(row[: task + 1].tolist()) for task, row in enumerate(mean)),
        forgetting=tuple(forgetting.tolist()),
    )


def _runs(session: Session, items: Sequence[Entry]) -> dict[str, Run]:
    wanted = [run.run_id for item in items for run in item.runs]
    return {run.id: run for run in session.scalars(select(Run).where(Run.id.in_(wanted)))}


def _environment(runs: Sequence[Run]) -> dict[str, Any]:
    """Every value that occurs, by name."""
    names = sorted({name for run in runs for name in run.environment or {}} - _PER_RUN)
    return {name: sorted({str((run.environment or {}).get(name)) for run in runs}) for name in names}


def _unequal(several: Sequence[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    names = dict.fromkeys(name for one in several for name in one)
    table = {name: tuple(one.get(name) for one in several) for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}
