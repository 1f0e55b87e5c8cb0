"""`cil run`: the engine alone, in this process. The result is the JSON a reader needs to recompute every number."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cil_core.engine.run import run
from cil_core.spec.errors import EngineError
from cil_core.spec.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated, TaskStarted
from cil_core.spec.jobs import RunSpec
from cil_core.spec.metrics import summarize
from workers.child.environment import describe, peaks
from workers.child.stopwatch import Stopwatch

FAILED = 1


def execute(
    specs: Sequence[RunSpec], *, device: str, data_root: Path, out: Path | None, compiled: bool = False
) -> int:
    """Run what is asked for.

    Args:
        specs: runs of one job.
        device: `cpu` or `cuda:N`.
        data_root: where datasets lie.
        out: where the result goes; None prints it.
        compiled: whether backbones are compiled in runs that gain from it.

    Returns:
        The exit code: 0, or 1 if a run failed.
    """
    console = Console(stderr=True)
    results: list[dict[str, Any]] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        for spec in specs:
            bar = progress.add_task(f"{spec.method.name}, seed {spec.seed}", total=None, note="")
            try:
                results.append(_run(spec, device, data_root, compiled, partial(_show, progress, bar)))
            except (EngineError, RuntimeError) as error:
                console.print(
                    f"[red]seed {spec.seed}: {type(error).__name__}:[/red] {error}", highlight=False
                )
                return FAILED
    text = json.dumps(
        {"track": specs[0].track.slug, "method": specs[0].method.model_dump(mode="json"), "runs": results},
        indent=2,
    )
    if out:
        out.write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")
    return 0


def _run(
    spec: RunSpec, device: str, data_root: Path, compiled: bool, show: Callable[[Event], None]
) -> dict[str, Any]:
    stopwatch, started = Stopwatch(None), time.monotonic()
    rows: list[TaskEvaluated] = []
    seconds: list[float | None] = []
    digest, is_compiled = "", False
    for event in run(spec, device=device, data_root=data_root, compiled=compiled):
        show(event)
        if isinstance(event, RunStarted):
            is_compiled = event.compiled
        if isinstance(event, RunFinished):
            digest = event.matrix_digest
        took = stopwatch.seconds(event)
        if isinstance(event, TaskEvaluated):
            rows.append(event)
            seconds.append(took)
    return {
        "seed": spec.seed,
        "summary": {name: _summary(rows, name) for name in rows[0].results},
        "matrix_digest": digest,
        "tasks": [
            row.model_dump(mode="json", exclude={"kind"}) | {"seconds": took}
            for row, took in zip(rows, seconds, strict=True)
        ],
        "seconds": time.monotonic() - started,
        "environment": describe(device) | peaks(device) | {"compiled": is_compiled},
    }


def _summary(rows: list[TaskEvaluated], classifier: str) -> dict[str, Any]:
    counts = [row.results[classifier] for row in rows]
    return summarize(
        [count.correct for count in counts], [count.correct_top5 for count in counts], rows[-1].test_images
    ).model_dump(mode="json")


def _show(progress: Progress, bar: TaskID, event: Event) -> None:
    match event:
        case RunStarted():
            progress.update(bar, total=len(event.task_sizes))
        case TaskStarted():
            progress.update(
                bar,
                note=f"task {event.task + 1}: {event.seen - event.known} new classes, {event.train_images} images",
            )
        case EpochFinished():
            progress.update(
                bar,
                note=f"task {event.task + 1}, {event.phase}: epoch {event.epoch + 1} of {event.epochs}, loss {sum(event.losses.values()):.3f}",
            )
        case TaskEvaluated():
            accuracy = {
                name: sum(counts.correct) / sum(event.test_images) for name, counts in event.results.items()
            }
            note = ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items())
            progress.update(bar, completed=event.task + 1, note=note)
            progress.console.print(f"  task {event.task + 1}: {event.seen} classes, {note}", highlight=False)
        case RunFinished():
            pass
