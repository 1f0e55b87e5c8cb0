"""Watching a job: its events as a live table, or as lines where standard error is not a terminal.

`JobProgress` is what the events have reported so far: a row per run, with the accuracy after each task.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live

from api.client.listing import Column, Listing
from api.client.models import Event, Job
from api.client.output import progress_line
from api.client.sdk import Client
from api.client.tables import sparkline
from api.shared.numbers import percent


@dataclass
class RunProgress:
    """How far a run is.

    Attributes:
        curves: by classifier and task, the accuracy over all seen classes.
    """

    seed: int
    state: str
    tasks: int | None = None
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    note: str = ""

    @property
    def curve(self) -> list[float]:
        """The first classifier's accuracies in order of tasks."""
        first: dict[int, float] = next(iter(self.curves.values()), {})
        return [first[task] for task in sorted(first)]


class JobProgress:
    """A job as its events report it.

    Args:
        job: the job before the first event.
    """

    def __init__(self, job: Job) -> None:
        self.title = f"{job.id}: {job.method} on {job.track}"
        self.runs = {
            run.id: RunProgress(run.seed, run.state, note="reused" if run.reused else "") for run in job.runs
        }

    def apply(self, event: Event) -> None:
        """Update the run of an event."""
        run = self.runs.get(event.run_id or "")
        if run is None:
            return
        run.note = describe(event) or run.note
        match event.kind:
            case "run_claimed":
                run.state = "running"
            case "run_started":
                run.tasks = len(event.payload["task_sizes"])
                for task in event.payload.get("discarded_tasks", ()):
                    for curve in run.curves.values():
                        curve.pop(task, None)
            case "task_evaluated":
                for name, accuracy in accuracies(event).items():
                    run.curves.setdefault(name, {})[event.payload["task"]] = accuracy
            case "run_requeued" | "run_released":
                run.state = "queued"
            case "run_succeeded" | "run_failed" | "run_cancelled" | "run_dead":
                run.state = event.kind.removeprefix("run_")

    def table(self) -> Listing:
        """The current state, one row per run."""
        columns = [
            Column("seed", right=True),
            Column("state"),
            Column("tasks", right=True),
            Column("A_t", rank=2),
            Column("now", rank=1, moves=True, wraps=True),
        ]
        table = Listing(columns, title=self.title)
        for run in self.runs.values():
            tasks = f"{len(run.curve)}/{run.tasks}" if run.tasks else ""
            table.add(str(run.seed), run.state, tasks, sparkline(run.curve), run.note)
        return table


def watch_job(client: Client, job: Job, console: Console) -> None:
    """Show a job's events until it has ended."""
    if not console.is_terminal:
        for event in client.follow(job.id):
            words = (event.run_id, event.kind, describe(event))
            progress_line(console, " ".join(word for word in words if word))
        return
    progress = JobProgress(job)
    with Live(progress.table(), console=console, refresh_per_second=8, transient=True) as live:
        for event in client.follow(job.id):
            progress.apply(event)
            live.update(progress.table())


def accuracies(event: Event) -> dict[str, float]:
    """By classifier, the accuracy over all seen classes in a `task_evaluated` event."""
    images = sum(event.payload["test_images"])
    return {name: sum(counts["correct"]) / images for name, counts in event.payload["results"].items()}


def describe(event: Event) -> str:
    """An event in words; empty for one that its kind describes already."""
    payload = event.payload
    match event.kind:
        case "run_claimed":
            return f"attempt {payload['attempt']} on {payload['device']}"
        case "task_started":
            new_classes = payload["seen"] - payload["known"]
            return f"task {payload['task'] + 1}: {new_classes} new classes, {payload['train_images']} images"
        case "epoch_finished":
            losses = ", ".join(f"{name} {value:.3f}" for name, value in payload["losses"].items())
            epoch = f"epoch {payload['epoch'] + 1} of {payload['epochs']}"
            return f"task {payload['task'] + 1}, {payload['phase']}: {epoch}, {losses}"
        case "task_evaluated":
            results = ", ".join(f"{name} {percent(value)} %" for name, value in accuracies(event).items())
            return f"task {payload['task'] + 1}: {results}"
        case "job_finished":
            return str(payload["state"])
    return str(payload.get("message") or "")
