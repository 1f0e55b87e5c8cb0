"""How the command line shows answers: tables and sparklines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from api.client.models import Classifier, Entry, Job, Leaderboard, Run, Statistic
from api.shared.variants import brief, titled

BARS = "▁▂▃▄▅▆▇█"
MISSING = "–"
ROOM_FOR_COSTS = 130
"""Columns of a terminal in which a leaderboard also shows memory, parameters and time."""

_SHOWN = frozenset({"average_accuracy", "last_accuracy", "forgetting"})
_COSTS = ("curve by", "exemplars", "memory MB", "params M", "train s")


def sparkline(values: Sequence[float]) -> str:
    """Fractions 0 … 1 as small bars."""
    return "".join(BARS[min(int(value * len(BARS)), len(BARS) - 1)] for value in values)


def percent(statistic: Statistic | None) -> str:
    """A mean as per cent, with half its 95 % interval where there are enough seeds."""
    if statistic is None:
        return MISSING
    if statistic.interval is None:
        return f"{100 * statistic.mean:.1f}"
    return f"{100 * statistic.mean:.1f} ± {50 * (statistic.interval[1] - statistic.interval[0]):.1f}"


@dataclass(frozen=True)
class LeaderboardTable:
    """A leaderboard as papers print it; where there is room, with what the methods cost."""

    board: Leaderboard

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, as wide as the terminal allows."""
        costs = options.max_width >= ROOM_FOR_COSTS
        also = (
            self.board.sort
            if self.board.sort not in _SHOWN
            and any(self.board.sort in entry.metrics for entry in self.board.items)
            else None
        )
        table = _table(self.board.slug)
        table.caption = "accuracies in %, ± half the 95 % interval over n seeds; upper bounds unranked; ✓✓: a second run got the same results"
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("method")
        for heading in (
            "avg acc ↑",
            "last acc ↑",
            "forgetting ↓",
            "n",
            *([also.replace("_", " ")] if also else []),
            *(_COSTS if costs else ()),
        ):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("A_t", no_wrap=True)
        for entry in self.board.items:
            asked = [percent(entry.metrics.get(also))] if also else []
            table.add_row(
                *_result_cells(entry),
                *asked,
                *(_cost_cells(entry) if costs else ()),
                sparkline([point.mean for point in entry.curve]),
            )
        yield table


def reported_table(board: Leaderboard) -> Table:
    """What papers and users report on a track, each beside our best entry of the method."""
    entries = {entry.id: entry for entry in board.items}
    table = _table(f"reported on {board.slug}")
    table.caption = " ".join(dict.fromkeys(f"{row.source}. {row.caveat}" for row in board.reported))
    table.add_column("method")
    for heading in ("reported avg", "reported last", "our avg", "gap"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in board.reported:
        ours = entries.get(row.entry or "")
        mine = percent(ours.metrics["average_accuracy"]) if ours else MISSING
        gap = MISSING if row.gap is None else f"{100 * row.gap:+.2f}"
        table.add_row(
            row.title, f"{100 * row.average_accuracy:.2f}", f"{100 * row.last_accuracy:.2f}", mine, gap
        )
    return table


def jobs_table(jobs: Iterable[Job]) -> Table:
    """Jobs, one a row."""
    table = _table(None, "method", "track", "state", "runs", "submitted", "name", identifier="job")
    for job in jobs:
        done = sum(run.state == "succeeded" for run in job.runs)
        table.add_row(
            job.id,
            job.method,
            job.track,
            job.state,
            f"{done}/{len(job.runs)}",
            f"{job.created_at:%Y-%m-%d %H:%M}",
            Text(job.name or ""),
        )
    return table


def job_table(job: Job) -> Table:
    """One job's runs."""
    place = "" if job.queue_position is None else f", {job.queue_position} runs before it"
    title = f"{job.id}: {job.method} on {job.track}, {job.state}{place}"
    table = _table(title, "seed", "state", "attempt", "avg acc", "last acc", "note", identifier="run")
    for run in job.runs:
        accuracies = [
            MISSING if value is None else f"{100 * value:.2f}"
            for value in (run.average_accuracy, run.last_accuracy)
        ]
        note = run.message or ("reused" if run.reused else "")
        table.add_row(run.id, str(run.seed), run.state, str(run.attempt), *accuracies, Text(note))
    return table


def run_tables(run: Run) -> RenderableType:
    """One run: its accuracy matrix under each classifier, and its attempts."""
    attempts = _table(
        f"{run.id}: {run.method} on {run.track}, seed {run.seed}, {run.state}",
        "attempt",
        "worker",
        "device",
        "outcome",
        "reason",
    )
    for attempt in run.attempts:
        attempts.add_row(
            str(attempt.number), attempt.worker, attempt.device, attempt.outcome, Text(attempt.message or "")
        )
    return Group(attempts, *(_matrix(name, found) for name, found in run.classifiers.items()))


def fields_table(properties: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> Table:
    """Hyper-parameters with their defaults and sources."""
    table = _table(None, "field", "default", "meaning and source")
    for name, schema in properties.items():
        table.add_row(name, Text(json.dumps(defaults.get(name))), Text(schema.get("description", "")))
    return table


def _table(title: str | None, *headings: str, identifier: str | None = None) -> Table:
    """An empty table in the style of all; an identifier is never cut, so that it can be copied."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    if identifier:
        table.add_column(identifier, no_wrap=True, overflow="fold")
    for heading in headings:
        table.add_column(heading)
    return table


def _result_cells(entry: Entry) -> list[str]:
    name = titled(entry.title, brief(entry.variant))
    name += " ✓✓" if entry.trust == "replayed" else ""
    accuracies = [
        percent(entry.metrics.get(name)) for name in ("average_accuracy", "last_accuracy", "forgetting")
    ]
    return [MISSING if entry.rank is None else str(entry.rank), name, *accuracies, str(len(entry.runs))]


def _cost_cells(entry: Entry) -> list[str]:
    seconds = MISSING if entry.train_seconds is None else f"{entry.train_seconds.mean:.1f}"
    return [
        entry.classifier,
        str(entry.exemplars),
        f"{entry.counted_bytes / 1e6:.3f}",
        f"{entry.parameters / 1e6:.3f}",
        seconds,
    ]


def _matrix(name: str, found: Classifier) -> Table:
    """Accuracy on each task (columns) after each task (rows), in per cent."""
    table = _table(f"{name}{' (ranks)' if found.ranks else ''}: accuracy on each task in %", "after")
    for task in range(len(found.test_images)):
        table.add_column(f"task {task + 1}", justify="right")
    table.add_column("A_t", justify="right")
    for task, row in enumerate(found.correct):
        cells = [f"{100 * right / images:.1f}" for right, images in zip(row, found.test_images, strict=False)]
        missing = [""] * (len(found.test_images) - len(cells))
        table.add_row(
            f"task {task + 1}", *cells, *missing, f"{100 * sum(row) / sum(found.test_images[: len(row)]):.2f}"
        )
    return table
