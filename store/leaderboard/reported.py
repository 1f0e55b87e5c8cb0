"""Results that users report, from elsewhere or from a paper: shown with their source, never ranked.

Decisions:
    * What can be checked is checked: the number of points, the triangle of the matrix, and that the numbers
      agree. A contradiction is refused with both figures, since one of them is wrong.
    * A missing curve follows from the matrix, with each task weighted by its classes, as on balanced test
      sets.
    * A result never changes; the user who reported it, or an administrator, may withdraw it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from cil_core.spec.errors import InvalidSpec
from cil_core.spec.metrics import AccuracyMatrix
from store.database.errors import NotFound
from store.database.ids import new_id
from store.database.json_type import sanitised
from store.database.models import ReportedResult

ROUNDING = 0.001
"""Largest difference between a stated number and the others: papers round to a tenth of a per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReportedResult:
    """What a user reports for one method on one track; accuracies are fractions.

    Attributes:
        title: the method as its authors name it.
        citation: the source of the numbers.
        method: this project's implementation of the method, if it has one.
        link: to code or paper.
        note: what a reader should know.
        seeds: the number of runs that the numbers average.
        curve: accuracy over all classes seen, after each task.
        matrix: row t: accuracy on each of the tasks seen, after task t.
        average_accuracy: as stated; checked against the curve.
        last_accuracy: as stated; checked against the curve.
        forgetting: as stated; checked against the matrix if there is one.
    """

    title: str
    citation: str
    method: str | None = None
    link: str | None = None
    note: str | None = None
    seeds: int | None = None
    curve: Sequence[float] | None = None
    matrix: Sequence[Sequence[float]] | None = None
    average_accuracy: float | None = None
    last_accuracy: float | None = None
    forgetting: float | None = None


def add_reported_result(
    session: Session, given: NewReportedResult, *, user_id: str, track_slug: str, task_sizes: Sequence[int]
) -> ReportedResult:
    """Store a reported result.

    Args:
        session: a writing session.
        given: the numbers.
        user_id: the user who reports them.
        track_slug: the track they belong to.
        task_sizes: classes of each task of the track.

    Raises:
        InvalidSpec: the numbers contradict the track or each other; `field` says which.
    """
    matrix = _matrix(given, task_sizes)
    curve = _curve(given, matrix, len(task_sizes))
    row = ReportedResult(
        id=new_id("res"),
        user_id=user_id,
        track_slug=track_slug,
        method=given.method,
        title=sanitised(given.title),
        citation=sanitised(given.citation),
        link=given.link,
        note=sanitised(given.note),
        seeds=given.seeds,
        curve=curve,
        matrix=[list(row) for row in given.matrix] if given.matrix else None,
        **_summary(given, curve, matrix),
    )
    session.add(row)
    session.flush()
    return row


def reported_results_on(session: Session, track_slug: str) -> list[ReportedResult]:
    """What users report on a track, with the `user`s, the best average first."""
    query = (
        select(ReportedResult)
        .where(ReportedResult.track_slug == track_slug)
        .options(joinedload(ReportedResult.user))
    )
    return sorted(session.scalars(query), key=lambda row: (-row.average_accuracy, row.title, row.id))


def get_reported_result(session: Session, result_id: str) -> ReportedResult:
    """One reported result, with its `user`.

    Raises:
        NotFound: no result has this id.
    """
    query = (
        select(ReportedResult).where(ReportedResult.id == result_id).options(joinedload(ReportedResult.user))
    )
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"unknown reported result {result_id!r}")
    return found


def list_reported_results(
    session: Session, track_slug: str | None = None, after: str | None = None, limit: int = 50
) -> list[ReportedResult]:
    """Reported results with their `user`s, by descending id, which is by time.

    Args:
        session: any session.
        track_slug: only those on this track.
        after: only those that follow this id in the list.
        limit: how many at most.
    """
    query = (
        select(ReportedResult)
        .options(joinedload(ReportedResult.user))
        .order_by(ReportedResult.id.desc())
        .limit(limit)
    )
    if track_slug is not None:
        query = query.where(ReportedResult.track_slug == track_slug)
    if after is not None:
        query = query.where(ReportedResult.id < after)
    return list(session.scalars(query))


def withdraw(session: Session, result_id: str) -> None:
    """Delete a reported result."""
    session.delete(get_reported_result(session, result_id))
    session.flush()


def _matrix(given: NewReportedResult, task_sizes: Sequence[int]) -> AccuracyMatrix | None:
    """The matrix, with each task weighted by its classes."""
    if given.matrix is None:
        return None
    if [len(row) for row in given.matrix] != list(range(1, len(task_sizes) + 1)):
        lengths = ", ".join(str(len(row)) for row in given.matrix)
        raise InvalidSpec(
            f"rows of {lengths} values were given;"
            f" the track's {len(task_sizes)} tasks need rows of 1 … {len(task_sizes)}",
            ("matrix",),
        )
    return AccuracyMatrix.from_accuracies(given.matrix, task_sizes)


def _curve(given: NewReportedResult, matrix: AccuracyMatrix | None, tasks: int) -> list[float]:
    if given.curve is None:
        if matrix is None:
            raise InvalidSpec(
                "give the accuracy after each task as `curve`, or the whole `matrix`", ("curve",)
            )
        return list(map(float, matrix.curve))
    if len(given.curve) != tasks:
        raise InvalidSpec(f"{len(given.curve)} points were given; the track has {tasks} tasks", ("curve",))
    computed = given.curve if matrix is None else matrix.curve.tolist()
    for task, (stated, follows) in enumerate(zip(given.curve, computed, strict=True)):
        if abs(stated - follows) > ROUNDING:
            raise InvalidSpec(
                f"{stated:g} after task {task} contradicts the matrix, which gives {follows:.4f}",
                ("curve", task),
            )
    return list(given.curve)


def _summary(
    given: NewReportedResult, curve: Sequence[float], matrix: AccuracyMatrix | None
) -> dict[str, float | None]:
    """The stated numbers, each checked against the curve or the matrix."""
    mean = math.fsum(curve) / len(curve)
    forgetting = given.forgetting
    if matrix is not None:
        forgetting = _agreeing("forgetting", forgetting, matrix.forgetting(), "the forgetting of the matrix")
    return {
        "average_accuracy": _agreeing(
            "average_accuracy", given.average_accuracy, mean, "the mean of the curve"
        ),
        "last_accuracy": _agreeing("last_accuracy", given.last_accuracy, curve[-1], "the end of the curve"),
        "forgetting": forgetting,
    }


def _agreeing(field: str, stated: float | None, computed: float | None, source: str) -> float | None:
    """The stated number if it agrees with the computed one; the computed one if none is stated."""
    if stated is None:
        return computed
    if computed is None or abs(stated - computed) > ROUNDING:
        raise InvalidSpec(
            f"{stated:g} was given;"
            f" {source} is {'undefined with one task' if computed is None else f'{computed:.4f}'}",
            (field,),
        )
    return stated
