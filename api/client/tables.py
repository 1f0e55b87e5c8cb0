"""How the command line shows answers: tables and sparklines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.client.answers import Classifier, Entry, Job, Leaderboard, Run, Statistic

BARS = "▁▂▃▄▅▆▇█"
MISSING = "–"


def sparkline(values: Sequence[float]) -> str:
    """Fractions 0 … 1 as small bars."""
    return "".join(BARS[min(int(value * len(BARS)), len(BARS) - 1)] for value in values)


def percent(statistic: Statistic | None) -> str:
    """A mean as per cent, with half its 95 % interval where there are enough seeds."""
    if statistic is None:
        return MISSING
    if statistic.interval is None:
        return f"{100 * statistic.mean:.2f}"
    return f"{100 * statistic.mean:.2f} ± {50 * (statistic.interval[1] - statistic.interval[0]):.2f}"


def leaderboard_table(board: Leaderboard) -> Table:
    """A leaderboard as papers print it."""
    table = Table(title=board.slug, caption="accuracies in %, ± half the 95 % interval over seeds; upper bounds have no rank")
    table.add_column("#", justify="right")
    for heading in ("method", "variant", "curve by"):
        table.add_column(heading)
    for heading in ("avg acc ↑", "last acc ↑", "forgetting ↓", "seeds", "exemplars", "memory MB", "params M", "train s"):
        table.add_column(heading, justify="right")
    table.add_column("A_t", no_wrap=True)
    for entry in board.items:
        table.add_row(*_entry_cells(entry))
    return table


def jobs_table(jobs: Iterable[Job]) -> Table:
    """Jobs, one a row."""
    table = Table("job", "method", "track", "state", "runs", "submitted", "name")
    for job in jobs:
        done = sum(run.state == "succeeded" for run in job.runs)
        table.add_row(job.id, job.method, job.track, job.state, f"{done}/{len(job.runs)}", f"{job.created_at:%Y-%m-%d %H:%M}", Text(job.name or ""))
    return table


def job_table(job: Job) -> Table:
    """One job's runs."""
    place = "" if job.queue_position is None else f", {job.queue_position} runs before it"
    table = Table("run", "seed", "state", "attempt", "avg acc", "last acc", "note", title=f"{job.id}: {job.method} on {job.track}, {job.state}{place}")
    for run in job.runs:
        accuracies = [MISSING if value is None else f"{100 * value:.2f}" for value in (run.average_accuracy, run.last_accuracy)]
        note = run.message or ("reused" if run.reused else "")
        table.add_row(run.id, str(run.seed), run.state, str(run.attempt), *accuracies, Text(note))
    return table


def run_tables(run: Run) -> RenderableType:
    """One run: its accuracy matrix under each classifier, and its attempts."""
    attempts = Table("attempt", "worker", "device", "outcome", "reason", title=f"{run.id}: {run.method} on {run.track}, seed {run.seed}, {run.state}")
    for attempt in run.attempts:
        attempts.add_row(str(attempt.number), attempt.worker, attempt.device, attempt.outcome, Text(attempt.message or ""))
    return Group(attempts, *(_matrix(name, found) for name, found in run.classifiers.items()))


def fields_table(properties: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> Table:
    """Hyper-parameters with their defaults and sources."""
    table = Table("field", "default", "meaning and source")
    for name, schema in properties.items():
        table.add_row(name, Text(json.dumps(defaults.get(name))), Text(schema.get("description", "")))
    return table


def _entry_cells(entry: Entry) -> list[str]:
    return [
        MISSING if entry.rank is None else str(entry.rank),
        entry.title,
        entry.variant,
        entry.classifier,
        *(percent(entry.metrics.get(name)) for name in ("average_accuracy", "last_accuracy", "forgetting")),
        str(len(entry.runs)),
        str(entry.exemplars),
        f"{entry.counted_bytes / 1e6:.3f}",
        f"{entry.parameters / 1e6:.3f}",
        MISSING if entry.train_seconds is None else f"{entry.train_seconds.mean:.1f}",
        sparkline([point.mean for point in entry.curve]),
    ]


def _matrix(name: str, found: Classifier) -> Table:
    """Accuracy on each task (columns) after each task (rows), in per cent."""
    table = Table("after", title=f"{name}{' (ranks)' if found.ranks else ''}: accuracy on each task in %")
    for task in range(len(found.test_images)):
        table.add_column(f"task {task + 1}", justify="right")
    table.add_column("A_t", justify="right")
    for task, row in enumerate(found.correct):
        cells = [f"{100 * right / images:.1f}" for right, images in zip(row, found.test_images, strict=False)]
        missing = [""] * (len(found.test_images) - len(cells))
        table.add_row(f"task {task + 1}", *cells, *missing, f"{100 * sum(row) / sum(found.test_images[: len(row)]):.2f}")
    return table
