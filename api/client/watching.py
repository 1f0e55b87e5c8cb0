"""Watching a job: its events as a table that lives, or as lines where there is no terminal.

`JobView` is what the events have told so far: a row a run, with the accuracy after each task.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from api.client.models import Event, Job
from api.client.sdk import Client
from api.client.tables import sparkline


@dataclass
class RunView:
    """How far a run has come."""

    seed: int
    state: str
    tasks: int | None = None
    curves: dict[str, dict[int, float]] = field(
        default_factory=dict
    )  # classifier → task → accuracy over all seen classes
    note: str = ""

    @property
    def curve(self) -> list[float]:
        """The first classifier's accuracies in order of tasks."""
        first: dict[int, float] = next(iter(self.curves.values()), {})
        return [first[task] for task in sorted(first)]


class JobView:
    """A job as its events tell it.

    Args:
        job: the job as it was when the first event was read.
    """

    def __init__(self, job: Job) -> None:
        self.title = f"{job.id}: {job.method} on {job.track}"
        self.runs = {
            run.id: RunView(run.seed, run.state, note="reused" if run.reused else "") for run in job.runs
        }

    def apply(self, event: Event) -> None:
        """Take in an event."""
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

    def table(self) -> Table:
        """The present state, one row a run."""
        table = Table("seed", "state", "tasks", "A_t", "now", title=self.title)
        for run in self.runs.values():
            tasks = f"{len(run.curve)}/{run.tasks}" if run.tasks else ""
            table.add_row(
                str(run.seed),
                run.state,
                tasks,
                sparkline(run.curve),
                Text(run.note, overflow="ellipsis", no_wrap=True),
            )
        return table


def watch(client: Client, job: Job, console: Console) -> None:
    """Show what happens to a job until it has ended."""
    if not console.is_terminal:
        for event in client.follow(job.id):
            console.print(
                f"{event.run_id or event.kind} {event.kind if event.run_id else ''} {describe(event)}".rstrip(),
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        return
    view = JobView(job)
    with Live(view.table(), console=console, refresh_per_second=8, transient=True) as live:
        for event in client.follow(job.id):
            view.apply(event)
            live.update(view.table())


def accuracies(event: Event) -> dict[str, float]:
    """By classifier, the accuracy over all seen classes that a `task_evaluated` tells."""
    images = sum(event.payload["test_images"])
    return {name: sum(counts["correct"]) / images for name, counts in event.payload["results"].items()}


def describe(event: Event) -> str:
    """An event in words; empty for one that its kind describes already."""
    payload = event.payload
    match event.kind:
        case "run_claimed":
            return f"attempt {payload['attempt']} on {payload['device']}"
        case "task_started":
            return f"task {payload['task'] + 1}: {payload['seen'] - payload['known']} new classes, {payload['train_images']} images"
        case "epoch_finished":
            losses = ", ".join(f"{name} {value:.3f}" for name, value in payload["losses"].items())
            return f"task {payload['task'] + 1}, {payload['phase']}: epoch {payload['epoch'] + 1} of {payload['epochs']}, {losses}"
        case "task_evaluated":
            return f"task {payload['task'] + 1}: " + ", ".join(
                f"{name} {value:.1%}" for name, value in accuracies(event).items()
            )
        case "job_finished":
            return str(payload["state"])
    return str(payload.get("message") or "")
