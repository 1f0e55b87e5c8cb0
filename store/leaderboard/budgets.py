"""Accuracy against memory: a method over tracks that differ in their budget, and the area under its curve.

AUC-A and AUC-L of Zhou et al. (TPAMI 2024), section 6.2: the integral of average (last) accuracy, a fraction,
over megabytes (2^20) by the survey's count, exemplars and backbones. The survey does not print the rule of
integration; the trapezoid reproduces its figures to 0.05. They are not normalised. The normalised variant,
the mean accuracy over the range, is reported too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pydantic import Field
from sqlalchemy.orm import Session

from cil_core.spec.base import Frozen
from store.database.errors import NotComparable
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import best_of_each_method, entries
from store.leaderboard.tracks import get_track, similar_tracks, without

MEGABYTE = 2**20


class BudgetPoint(Frozen):
    """A method's best entry on one of the tracks."""

    track: str
    entry: str
    megabytes: float = Field(description="2^20 bytes, survey convention.")
    average_accuracy: float
    last_accuracy: float


class BudgetCurve(Frozen):
    """A method over several budgets."""

    method: str
    title: str
    points: tuple[BudgetPoint, ...] = Field(description="By memory.")
    auc_average: float = Field(description="AUC-A: integral of average incremental accuracy over megabytes.")
    auc_last: float = Field(description="AUC-L: integral of last accuracy over megabytes.")
    mean_average: float = Field(description="AUC-A over the range of megabytes: a mean accuracy.")
    mean_last: float


class Budgets(Frozen):
    """Methods over tracks that differ in memory alone."""

    tracks: tuple[str, ...]
    curves: tuple[BudgetCurve, ...] = Field(description="The largest AUC-A first.")
    left_out: tuple[str, ...] = Field(
        description="Methods that are not on every track, or whose memory does not grow with the budget."
    )


def area(megabytes: Sequence[float], accuracies: Sequence[float]) -> float:
    """The trapezoid rule: Σ (x₂ − x₁)(y₁ + y₂)/2 over neighbours; x rises."""
    points = zip(megabytes, accuracies, strict=True)
    return sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(points))


def budgets(session: Session, slugs: Sequence[str]) -> Budgets:
    """Methods over tracks with different budgets.

    Raises:
        NotFound: one of the tracks has no jobs.
        NotComparable: fewer than two tracks, tracks that differ in more than memory and backbone, or no
            method on all of them.
    """
    if len(set(slugs)) != len(slugs) or len(slugs) < 2:
        raise NotComparable(f"at least 2 different tracks are needed, not {len(set(slugs))}")
    tracks = [get_track(session, slug) for slug in slugs]
    same = [without(track.spec, "memory", "backbone") for track in tracks]
    if any(one != same[0] for one in same):
        raise NotComparable(
            f"{', '.join(slugs)} differ in more than memory and backbone;"
            " accuracy over memory would compare different problems"
        )
    best: dict[str, list[Entry]] = {}
    for slug in slugs:
        ranked = (entry for entry in entries(session, slug) if entry.rank is not None)
        for name, entry in best_of_each_method(ranked).items():
            best.setdefault(name, []).append(entry)
    curves = {
        name: _curve(found)
        for name, found in best.items()
        if len(found) == len(slugs) and len({entry.counted_bytes for entry in found}) > 1
    }
    if not curves:
        raise NotComparable(f"no method has entries of different memory on all of {', '.join(slugs)}")
    ordered = tuple(sorted(curves.values(), key=lambda curve: -curve.auc_average))
    return Budgets(tracks=tuple(slugs), curves=ordered, left_out=tuple(sorted(best.keys() - curves.keys())))


def other_budgets(session: Session, slug: str) -> tuple[str, ...]:
    """The tracks that differ from this one in the budget alone, by slug.

    It is one of them; empty without another.
    """
    return similar_tracks(session, slug, lambda spec: without(spec, "memory"))


def _curve(found: Sequence[Entry]) -> BudgetCurve:
    points = tuple(
        sorted(
            (
                BudgetPoint(
                    track=entry.track_slug,
                    entry=entry.id,
                    megabytes=entry.counted_bytes / MEGABYTE,
                    average_accuracy=entry.metrics["average_accuracy"].mean,
                    last_accuracy=entry.metrics["last_accuracy"].mean,
                )
                for entry in found
            ),
            key=lambda point: point.megabytes,
        )
    )
    x = [point.megabytes for point in points]
    average, last = (
        area(x, [point.average_accuracy for point in points]),
        area(x, [point.last_accuracy for point in points]),
    )
    width = x[-1] - x[0]
    return BudgetCurve(
        method=found[0].method,
        title=found[0].title,
        points=points,
        auc_average=average,
        auc_last=last,
        mean_average=average / width,
        mean_last=last / width,
    )
