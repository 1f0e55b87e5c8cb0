"""`cil run`: the engine alone, in this process. The result is the JSON a reader needs to recompute every number."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cil_core import engine
from cil_core.errors import EngineError
from cil_core.events import EpochFinished, Event, RunFinished, RunStarted, TaskEvaluated, TaskStarted
from cil_core.metrics import summarize
from cil_core.spec import JobSpec, RunSpec
from workers.environment import describe, peaks
from workers.stopwatch import Stopwatch

FAILED, BAD_INPUT = 1, 2


def execute(path: Path, *, device: str, data_root: Path, out: Path | None) -> int:
    """Run what a file asks for.

    Args:
        path: JSON of a `JobSpec` or `RunSpec`.
        device: `cpu` or `cuda:N`.
        data_root: where datasets lie.
        out: where the result goes; None prints it.

    Returns:
        The exit code: 0, 1 if a run failed, 2 if the file cannot be understood.
    """
    console = Console(stderr=True)
    try:
        specs = read_specs(path)
    except (ValidationError, ValueError) as error:
        console.print(f"[red]{path}:[/red] {error}", highlight=False, markup=True)
        return BAD_INPUT
    results: list[dict[str, Any]] = []
    with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=console) as progress:
        for spec in specs:
            bar = progress.add_task(f"{spec.method.name}, seed {spec.seed}", total=None, note="")
            try:
                results.append(_run(spec, device, data_root, partial(_show, progress, bar)))
            except (EngineError, RuntimeError) as error:
                console.print(f"[red]seed {spec.seed}: {type(error).__name__}:[/red] {error}", highlight=False)
                return FAILED
    text = json.dumps({"track": specs[0].track.slug, "method": specs[0].method.model_dump(mode="json"), "runs": results}, indent=2)
    if out:
        out.write_text(text + "\n")
    else:
        sys.stdout.write(text + "\n")
    return 0


def read_specs(path: Path) -> tuple[RunSpec, ...]:
    """The runs a file asks for.

    Raises:
        ValueError: if it is not the JSON of a job or a run (pydantic's ValidationError is one).
    """
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f'a spec is a JSON object with "method", "track" and "seeds" (or one "seed"), not {type(content).__name__}')
    return (RunSpec.model_validate(content),) if "seed" in content else JobSpec.model_validate(content).runs()


def _run(spec: RunSpec, device: str, data_root: Path, show: Callable[[Event], None]) -> dict[str, Any]:
    stopwatch, started = Stopwatch(None), time.monotonic()
    rows: list[TaskEvaluated] = []
    seconds: list[float | None] = []
    digest = ""
    for event in engine.run(spec, device=device, data_root=data_root):
        show(event)
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
        "tasks": [row.model_dump(mode="json", exclude={"kind"}) | {"seconds": took} for row, took in zip(rows, seconds, strict=True)],
        "seconds": time.monotonic() - started,
        "environment": describe(device) | peaks(device),
    }


def _summary(rows: list[TaskEvaluated], classifier: str) -> dict[str, Any]:
    counts = [row.results[classifier] for row in rows]
    return summarize([count.correct for count in counts], [count.correct_top5 for count in counts], rows[-1].test_images).model_dump(mode="json")


def _show(progress: Progress, bar: TaskID, event: Event) -> None:
    match event:
        case RunStarted():
            progress.update(bar, total=len(event.task_sizes))
        case TaskStarted():
            progress.update(bar, note=f"task {event.task + 1}: {event.seen - event.known} new classes, {event.train_images} images")
        case EpochFinished():
            progress.update(bar, note=f"task {event.task + 1}, {event.phase}: epoch {event.epoch + 1} of {event.epochs}, loss {sum(event.losses.values()):.3f}")
        case TaskEvaluated():
            accuracy = {name: sum(counts.correct) / sum(event.test_images) for name, counts in event.results.items()}
            note = ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items())
            progress.update(bar, completed=event.task + 1, note=note)
            progress.console.print(f"  task {event.task + 1}: {event.seen} classes, {note}", highlight=False)
        case RunFinished():
            pass
