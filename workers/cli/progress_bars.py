"""What `cil run` shows in a terminal while it trains: one bar per seed, one line per finished task."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated, TaskStarted


def bars(console: Console) -> Progress:
    """An empty display."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def show(progress: Progress, bar: TaskID, event: Event) -> None:
    """Move a run's bar by one event."""
    match event:
        case RunStarted():
            progress.update(bar, total=len(event.task_sizes))
        case TaskStarted():
            news = f"{event.seen - event.known} new classes, {event.train_images} images"
            progress.update(bar, note=f"task {event.task + 1}: {news}")
        case EpochFinished():
            loss = sum(event.losses.values())
            epoch = f"epoch {event.epoch + 1} of {event.epochs}, loss {loss:.3f}"
            progress.update(bar, note=f"task {event.task + 1}, {event.phase}: {epoch}")
        case TaskEvaluated():
            images = sum(event.test_images)
            shares = {name: sum(counts.correct) / images for name, counts in event.results.items()}
            note = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
            progress.update(bar, completed=event.task + 1, note=note)
            progress.console.print(f"  task {event.task + 1}: {event.seen} classes, {note}", highlight=False)
        case RunFinished():
            pass
