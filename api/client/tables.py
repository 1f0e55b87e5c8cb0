"""Answers as tables of the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from api.client.listing import GAP, Column, Listing, stacked
from api.client.models import Classifier, Entry, Job, Leaderboard, Run, Statistic
from api.shared.numbers import MISSING, percent, percent_interval, points
from api.shared.variants import brief

BARS = "▁▂▃▄▅▆▇█"
_LEGEND = (
    "Accuracies in %; ± half the 95 % interval over n seeds; upper bounds have no rank; "
    "✓✓: a second run reproduced the results."
)
_STANDARD_METRICS = frozenset({"average_accuracy", "last_accuracy", "forgetting"})


def sparkline(values: Sequence[float]) -> str:
    """Fractions 0 … 1 as small bars."""
    return "".join(BARS[min(int(value * len(BARS)), len(BARS) - 1)] for value in values)


def over_seeds(statistic: Statistic | None) -> str:
    """A mean in per cent, with half its 95 % interval if it has one."""
    return MISSING if statistic is None else percent_interval(statistic.mean, statistic.interval)


def local_time(moment: datetime) -> str:
    """A moment to the minute in the time zone of this machine, with the zone's name."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"


def leaderboard_table(board: Leaderboard) -> Listing:
    """A leaderboard as papers print it and, in a wide terminal, what the methods cost."""
    extra = board.sort if board.sort not in _STANDARD_METRICS else None
    if not any(extra in entry.metrics for entry in board.items):
        extra = None
    columns = [
        Column("#", right=True),
        Column("method"),
        Column("variant", rank=11, moves=True),
        Column("avg acc ↑", right=True),
        Column("last acc ↑", right=True),
        Column("forgetting ↓", right=True, rank=5),
        Column("n", right=True, rank=3),
        *([Column(extra.replace("_", " "), right=True, rank=1)] if extra else []),
        Column("curve by", rank=8),
        Column("exemplars", right=True, rank=7),
        Column("memory MB", right=True, rank=6),
        Column("params M", right=True, rank=9),
        Column("train s", right=True, rank=10),
        Column("A_t", rank=4),
    ]
    table = Listing(columns, title=board.slug, notes=[_LEGEND])
    for entry in board.items:
        sorted_by = [over_seeds(entry.metrics.get(extra))] if extra else []
        curve = sparkline([point.mean for point in entry.curve])
        table.add(*_result_cells(entry), *sorted_by, *_cost_cells(entry), curve)
    return table


def reported_table(board: Leaderboard) -> Listing:
    """What papers and users report on a track, next to our entry of the same recipe."""
    table = Listing(
        [
            Column("method"),
            Column("reported avg", right=True),
            Column("reported last", right=True, rank=1),
            Column("our avg", right=True),
            Column("gap", right=True),
        ],
        title=f"reported on {board.slug}",
        notes=[*dict.fromkeys(f"{row.source}. {row.caveat}" for row in board.reported)],
    )
    for row in board.reported:
        ours = None if row.gap is None else row.average_accuracy + row.gap
        accuracies = [percent(value, 2) for value in (row.average_accuracy, row.last_accuracy, ours)]
        table.add(row.title, *accuracies, points(row.gap))
    return table


def jobs_table(jobs: Iterable[Job]) -> Listing:
    """Jobs, one per row."""
    table = Listing(
        [
            Column("job"),
            Column("method"),
            Column("track", rank=2, moves=True),
            Column("state"),
            Column("runs", right=True, rank=1),
            Column("submitted", rank=4, moves=True),
            Column("name", rank=3, moves=True, wraps=True),
        ]
    )
    for job in jobs:
        succeeded = sum(run.state == "succeeded" for run in job.runs)
        runs = f"{succeeded}/{len(job.runs)}"
        table.add(job.id, job.method, job.track, job.state, runs, local_time(job.created_at), job.name or "")
    return table


def job_table(job: Job) -> Listing:
    """One job's runs."""
    position = "" if job.queue_position is None else f", {job.queue_position} runs before it"
    table = Listing(
        [
            Column("run"),
            Column("seed", right=True),
            Column("state"),
            Column("attempt", right=True, rank=2),
            Column("avg acc", right=True, rank=1),
            Column("last acc", right=True, rank=1),
            Column("note", rank=3, moves=True, wraps=True),
        ],
        title=f"{job.id}: {job.method} on {job.track}, {job.state}{position}",
    )
    for run in job.runs:
        accuracies = [percent(value, 2) for value in (run.average_accuracy, run.last_accuracy)]
        note = run.message or ("reused" if run.reused else "")
        table.add(run.id, str(run.seed), run.state, str(run.attempt), *accuracies, note)
    return table


def run_tables(run: Run) -> RenderableType:
    """One run: its attempts, and its accuracy matrix under each classifier."""
    attempts = Listing(
        [
            Column("attempt", right=True),
            Column("worker"),
            Column("device"),
            Column("outcome"),
            Column("reason", rank=1, moves=True, wraps=True),
        ],
        title=f"{run.id}: {run.method} on {run.track}, seed {run.seed}, {run.state}",
    )
    for attempt in run.attempts:
        message = attempt.message or ""
        attempts.add(str(attempt.number), attempt.worker, attempt.device, attempt.outcome, message)
    return stacked(attempts, *(Matrix(name, found) for name, found in run.classifiers.items()))


def fields_table(properties: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> Listing:
    """Hyper-parameters with their defaults and sources."""
    table = Listing(
        [
            Column("field"),
            Column("default", rank=2, moves=True, label="default: "),
            Column("meaning and source", rank=1, moves=True, wraps=True),
        ]
    )
    for name, schema in properties.items():
        table.add(name, json.dumps(defaults.get(name)), schema.get("description", ""))
    return table


def _result_cells(entry: Entry) -> list[str]:
    title = f"{entry.title} ✓✓" if entry.trust == "replayed" else entry.title
    variant = "" if entry.variant == "default" else brief(entry.variant)
    rank = MISSING if entry.rank is None else str(entry.rank)
    metrics = ("average_accuracy", "last_accuracy", "forgetting")
    values = [over_seeds(entry.metrics.get(name)) for name in metrics]
    return [rank, title, variant, *values, str(len(entry.runs))]


def _cost_cells(entry: Entry) -> list[str]:
    seconds = MISSING if entry.train_seconds is None else f"{entry.train_seconds.mean:.1f}"
    return [
        entry.classifier,
        str(entry.exemplars),
        f"{entry.counted_bytes / 1e6:.3f}",
        f"{entry.parameters / 1e6:.3f}",
        seconds,
    ]


@dataclass(frozen=True)
class Matrix:
    """Accuracy on each task (columns) after each task (rows), in as many blocks as the width requires."""

    classifier: str
    found: Classifier

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The blocks, one below the other."""
        tasks = len(self.found.test_images)
        column = len(f"task {tasks}") + GAP
        per_block = max((options.max_width - column - len("100.00")) // column, 1)
        for start in range(0, tasks, per_block):
            yield self._block(range(start, min(start + per_block, tasks)), tasks)

    def _block(self, shown: range, tasks: int) -> Listing:
        ranks = " (ranks)" if self.found.ranks else ""
        table = Listing(
            [Column("after"), *(Column(f"task {task + 1}", right=True) for task in shown)],
            title=f"{self.classifier}{ranks}: accuracy on each task in %",
        )
        is_last = shown.stop == tasks
        if is_last:
            table.columns = [*table.columns, Column("A_t", right=True)]
        for after, row in enumerate(self.found.correct):
            average = percent(sum(row) / sum(self.found.test_images[: len(row)]), 2)
            cells = [_accuracy(row, self.found.test_images, task) for task in shown]
            table.add(f"task {after + 1}", *cells, *([average] if is_last else []))
        return table


def _accuracy(correct: Sequence[int], images: Sequence[int], task: int) -> str:
    """In per cent; empty for a task that was not learned yet."""
    return percent(correct[task] / images[task]) if task < len(correct) else ""
