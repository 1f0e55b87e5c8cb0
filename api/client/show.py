"""How the command line shows things: tables, sparklines, live progress."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from api.client.answers import Entry, Event, Job, Statistic

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """Fractions 0 … 1 as small bars."""
    return "".join(BARS[min(int(value * len(BARS)), len(BARS) - 1)] for value in values)


def percent(statistic: Statistic | None) -> str:
    """A mean as per cent, with half its 95 % interval where there are enough seeds."""
    if statistic is None:
        return "–"
    if statistic.interval is None:
        return f"{100 * statistic.mean:.2f}"
    return f"{100 * statistic.mean:.2f} ± {50 * (statistic.interval[1] - statistic.interval[0]):.2f}"


def leaderboard_table(track: str, entries: Sequence[Entry]) -> Table:
    """A leaderboard as papers print it."""
    table = Table(title=f"{track}", caption="accuracies in %, ± half the 95 % interval over seeds; upper bounds have no rank")
    for heading in ("#", "method", "variant", "curve by"):
        table.add_column(heading)
    for heading in ("avg acc ↑", "last acc ↑", "forgetting ↓", "seeds", "exemplars", "memory MB", "params", "train s"):
        table.add_column(heading, justify="right")
    table.add_column("A_t")
    for entry in entries:
        table.add_row(
            str(entry.rank or "–"),
            entry.title,
            entry.variant,
            entry.classifier,
            percent(entry.metrics.get("average_accuracy")),
            percent(entry.metrics.get("last_accuracy")),
            percent(entry.metrics.get("forgetting")),
            str(len(entry.runs)),
            str(entry.exemplars),
            f"{entry.counted_bytes / 2**20:.3f}",
            f"{entry.parameters:,}",
            "–" if entry.train_seconds is None else f"{entry.train_seconds.mean:.1f}",
            sparkline([point.mean for point in entry.curve]),
        )
    return table


def jobs_table(jobs: Iterable[Job]) -> Table:
    """Jobs, one a row."""
    table = Table("job", "method", "track", "state", "runs", "submitted", "name")
    for job in jobs:
        done = sum(run.state == "succeeded" for run in job.runs)
        table.add_row(job.id, job.method, job.track, job.state, f"{done}/{len(job.runs)}", f"{job.created_at:%Y-%m-%d %H:%M}", job.name or "")
    return table


def job_table(job: Job) -> Table:
    """One job's runs."""
    table = Table("run", "seed", "state", "attempt", "avg acc", "last acc", "reason", title=f"{job.id}: {job.method} on {job.track}, {job.state}")
    for run in job.runs:
        accuracies = ["–" if value is None else f"{100 * value:.2f}" for value in (run.average_accuracy, run.last_accuracy)]
        table.add_row(run.id, str(run.seed), run.state, str(run.attempt), *accuracies, run.message or "")
    return table


def event_line(event: Event) -> str:
    """An event in one line."""
    payload = event.payload
    text = {
        "task_started": lambda: f"task {payload['task'] + 1}: classes {payload['known'] + 1} … {payload['seen']}, {payload['train_images']} images",
        "epoch_finished": lambda: (
            f"task {payload['task'] + 1} {payload['phase']} epoch {payload['epoch'] + 1}/{payload['epochs']} "
            + " ".join(f"{name} {value:.3f}" for name, value in payload["losses"].items())
        ),
        "task_evaluated": lambda: (
            f"task {payload['task'] + 1}: "
            + ", ".join(f"{name} {100 * sum(row['correct']) / sum(payload['test_images']):.2f} %" for name, row in payload["results"].items())
        ),
    }.get(event.kind, lambda: "")()
    return f"{event.run_id or 'job':34} {event.kind:16} {text}"


def stderr() -> Console:
    """Where progress and errors go; results go to standard output."""
    return Console(stderr=True)
