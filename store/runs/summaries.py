"""From recorded rows of an accuracy matrix to reported numbers; no other module computes them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from cil_core.spec import metrics
from store.database.errors import ResultConflict
from store.database.models import TaskResult


def summarize(rows: Sequence[TaskResult]) -> dict[str, metrics.Summary]:
    """Every reported number of a run, by classifier.

    Args:
        rows: all its results, in any order.

    Raises:
        ResultConflict: they do not form a complete matrix.
    """
    return {classifier: _summary(matrix) for classifier, matrix in matrices(rows).items()}


def matrices(rows: Sequence[TaskResult]) -> dict[str, list[TaskResult]]:
    """The rows of each classifier, in the order of tasks."""
    ordered = sorted(rows, key=lambda row: (row.classifier, row.task))
    return {classifier: list(group) for classifier, group in groupby(ordered, key=lambda row: row.classifier)}


def digest(rows: Sequence[TaskResult]) -> str:
    """The digest that an engine with the same counts computes: see `cil_core.spec.metrics.matrix_digest`."""
    ordered = sorted(rows, key=lambda row: row.task)
    return metrics.matrix_digest(
        [
            {row.classifier: {"correct": row.correct, "correct_top5": row.correct_top5} for row in group}
            for _, group in groupby(ordered, key=lambda row: row.task)
        ]
    )


def _summary(rows: list[TaskResult]) -> metrics.Summary:
    try:
        return metrics.summarize(
            [row.correct for row in rows], [row.correct_top5 for row in rows], rows[-1].test_images
        )
    except ValueError as error:
        raise ResultConflict(
            f"the results of {rows[0].run_id} under {rows[0].classifier} do not form a matrix: {error}"
        ) from error
