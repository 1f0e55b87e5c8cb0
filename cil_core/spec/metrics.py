"""From the accuracy matrix to every number on a leaderboard. Numpy only.

Rows are times (after task t), columns are tasks: `correct[t][j]` counts the correct predictions on task j's
test images after task t, among all classes seen by then. Definitions follow the survey of Zhou et al. (TPAMI
2024), equations 19 and 20. Where the field disagrees, the docstring says which definition this is. All
accuracies are fractions. The mean over images of a task equals the mean over its classes where the test set
is balanced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cil_core.spec.summary import METRIC, METRICS, Metric, Summary

__all__ = [
    "METRIC",
    "METRICS",
    "AccuracyMatrix",
    "Metric",
    "Summary",
    "intransigence",
    "matrix_digest",
    "summarize",
]


@dataclass(frozen=True)
class AccuracyMatrix:
    """Correct predictions, lower-triangular.

    Args:
        correct: row t holds t+1 counts; fractions of an image where only accuracies are known.
        totals: test images of each task, or what weighs the tasks.

    Raises:
        ValueError: the rows are no triangle, or a count exceeds its total.
    """

    correct: Sequence[Sequence[float]]
    totals: Sequence[int]

    def __post_init__(self) -> None:
        _check_triangle(self.correct, len(self.totals))
        for row in self.correct:
            for count, total in zip(row, self.totals, strict=False):
                if not 0 <= count <= total or total < 1:
                    raise ValueError(f"{count} correct predictions of {total} test images")

    @classmethod
    def from_accuracies(cls, accuracies: Sequence[Sequence[float]], weights: Sequence[int]) -> AccuracyMatrix:
        """The matrix of a source that reports fractions.

        Args:
            accuracies: row t holds t+1 fractions.
            weights: of each task, in proportion to its test images.

        Raises:
            ValueError: the rows are no triangle, or a fraction lies outside 0 … 1.
        """
        _check_triangle(accuracies, len(weights))
        return cls(
            [[value * weight for value, weight in zip(row, weights, strict=False)] for row in accuracies],
            weights,
        )

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        """a[t, j] as a B × B array; NaN above the diagonal, where a task has not arrived yet."""
        tasks = len(self.totals)
        matrix = np.full((tasks, tasks), np.nan)
        for t, row in enumerate(self.correct):
            matrix[t, : t + 1] = np.asarray(row) / np.asarray(self.totals[: t + 1])
        return matrix

    @cached_property
    def curve(self) -> NDArray[np.float64]:
        """A_t: accuracy over all images of the classes seen after each task, shape (B,)."""
        return np.array([sum(row) / sum(self.totals[: len(row)]) for row in self.correct])

    def old(self, task: int) -> float | None:
        """Accuracy after `task` on the classes of earlier tasks; None for the first task."""
        return None if task == 0 else sum(self.correct[task][:-1]) / sum(self.totals[:task])

    def new(self, task: int) -> float:
        """Accuracy after `task` on its own classes."""
        return float(self.accuracy[task, task])

    def harmonic(self, task: int) -> float | None:
        """2·old·new / (old + new) after `task`; 0 if both are 0, None for the first task."""
        old = self.old(task)
        return None if old is None else _harmonic_mean(old, self.new(task))

    def base_and_novel(self) -> tuple[float, float] | None:
        """Accuracy after the last task on the first task's classes, and on all later ones.

        None with one task. Few-shot papers call them base and novel accuracy.
        """
        if len(self.totals) == 1:
            return None
        row = self.correct[-1]
        return row[0] / self.totals[0], sum(row[1:]) / sum(self.totals[1:])

    def forgetting_terms(self) -> NDArray[np.float64]:
        """f_j = max over j ≤ l < B of a[l, j], minus a[B, j], for every task but the last; shape (B − 1,).

        A term may be negative.
        """
        last = len(self.totals) - 1
        return np.array([np.max(self.accuracy[j:last, j]) - self.accuracy[last, j] for j in range(last)])

    def forgetting(self) -> float | None:
        """Mean of the `forgetting_terms`; None with one task."""
        terms = self.forgetting_terms()
        return float(terms.mean()) if len(terms) else None

    def backward_transfer(self) -> float | None:
        """Mean over old tasks of a[B, j] − a[j, j] (Lopez-Paz and Ranzato 2017); None with one task."""
        last = len(self.totals) - 1
        return float(np.mean(self.accuracy[last, :last] - np.diag(self.accuracy)[:last])) if last else None


def _harmonic_mean(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def _check_triangle(rows: Sequence[Sequence[float]], tasks: int) -> None:
    lengths = [len(row) for row in rows]
    if not rows or lengths != list(range(1, tasks + 1)):
        raise ValueError(f"{tasks} tasks need rows of 1 … {tasks} values, not {lengths}")


def summarize(
    correct: Sequence[Sequence[int]], correct_top5: Sequence[Sequence[int]], totals: Sequence[int]
) -> Summary:
    """Every reported number of one run.

    Args:
        correct: right predictions, row t after task t (t+1 counts).
        correct_top5: the same for the min(5, seen) best classes.
        totals: test images of each task.

    Raises:
        ValueError: if the counts do not form a matrix.
    """
    matrix, top5 = AccuracyMatrix(correct, totals), AccuracyMatrix(correct_top5, totals)
    last = len(totals) - 1
    terms = matrix.forgetting_terms()
    base, novel = matrix.base_and_novel() or (None, None)
    return Summary(
        average_accuracy=float(matrix.curve.mean()),
        average_accuracy_without_base=float(matrix.curve[1:].mean()) if last else None,
        last_accuracy=float(matrix.curve[-1]),
        forgetting=matrix.forgetting(),
        forgetting_clipped=float(np.maximum(terms, 0).mean()) if last else None,
        backward_transfer=matrix.backward_transfer(),
        old_accuracy=matrix.old(last),
        new_accuracy=matrix.new(last),
        harmonic_accuracy=matrix.harmonic(last),
        performance_drop=float(matrix.curve[0] - matrix.curve[-1]) if last else None,
        base_accuracy=base,
        novel_accuracy=novel,
        base_novel_accuracy=None if base is None or novel is None else _harmonic_mean(base, novel),
        average_top5=float(top5.curve.mean()),
        last_top5=float(top5.curve[-1]),
        curve=tuple(matrix.curve.tolist()),
        curve_top5=tuple(top5.curve.tolist()),
        curve_new=tuple(np.diag(matrix.accuracy).tolist()),
    )


def intransigence(joint: Sequence[float], new: Sequence[float]) -> float | None:
    """I = mean over k ≥ 2 of a*_k − a[k, k]; often negative, None with one task.

    Chaudhry et al. 2018; equations 21 and 22 of the survey.

    Args:
        joint: a*_k, accuracy on task k of a network trained jointly on the tasks 1 … k, for each task.
        new: a[k, k] of the method.

    Raises:
        ValueError: if they have different numbers of tasks.
    """
    if len(joint) != len(new):
        raise ValueError(f"{len(joint)} tasks of joint training cannot be a reference for {len(new)} tasks")
    terms = [best - own for best, own in zip(joint[1:], new[1:], strict=True)]
    return sum(terms) / len(terms) if terms else None


def matrix_digest(rows: Sequence[object]) -> str:
    """SHA-256 of the JSON of all counts: equal digests mean equal counts."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
