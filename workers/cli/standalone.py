"""`cil run`: the engine alone, in this process.

The result is the JSON a reader needs to recompute every number.

Decisions:
    * A seed that fails does not stop the others. The result names what failed and why, and the exit code is
      1.
    * The result file is complete after every seed, so that Ctrl-C keeps the finished seeds.
"""

from __future__ import annotations

import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console

from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.errors import EngineError, MethodError
from cil_core.spec.events import Event, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.jobs import RunSpec
from cil_core.spec.metrics import summarize
from workers.child.environment import describe, peaks
from workers.child.stopwatch import Stopwatch
from workers.cli.progress_bars import bars, show
from workers.cli.result_file import CannotWrite, ResultFile

FAILED = 1
Start = Callable[[RunSpec, Machine], Iterator[Event]]
INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""


@dataclass
class Result:
    """The result of a job, as far as it is known."""

    specs: Sequence[RunSpec]
    runs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def json(self) -> str:
        """What `cil run` writes."""
        content = {
            "track": self.specs[0].track.slug,
            "method": self.specs[0].method.model_dump(mode="json"),
            "runs": self.runs,
            "failures": self.failures,
        }
        return json.dumps(content, indent=2) + "\n"


def execute(
    specs: Sequence[RunSpec], machine: Machine, out: ResultFile, start: Start = run, **known: str
) -> int:
    """Run every spec and write the result.

    Args:
        specs: runs of one job.
        machine: where to run them.
        out: where the result goes.
        start: starts a run and returns its events.
        known: what else the environment of a result says.

    Returns:
        The exit code: 0; 1 after a failed run or an unwritable result; 130 after Ctrl-C or SIGTERM.
    """
    console, result, interrupted = Console(stderr=True, soft_wrap=True), Result(specs), False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's time limit is like Ctrl-C
    try:
        with bars(console) as progress:
            for spec in specs:
                bar = progress.add_task(f"{spec.method.name}, seed {spec.seed}", total=None, note="")
                try:
                    shown = partial(show, progress, bar)
                    finished = _run(spec, machine, shown, start)
                    finished["environment"] |= known
                    result.runs.append(finished)
                except Exception as error:  # noqa: BLE001 - recorded and reported; the other seeds run
                    _fail(spec, error, result, console)
                _write(out.update, result, console)
    except KeyboardInterrupt:
        interrupted = True
        _say(console, f"interrupted: {len(result.runs)} of {len(specs)} seeds are complete")
    is_written = not (result.runs or result.failures) or _write(out.finish, result, console)
    if result.failures:
        _say(console, f"{len(result.failures)} of {len(specs)} seeds failed")
    return INTERRUPTED if interrupted else FAILED if result.failures or not is_written else 0


def _run(spec: RunSpec, machine: Machine, shown: Callable[[Event], None], start: Start) -> dict[str, Any]:
    stopwatch, started = Stopwatch(None), time.monotonic()
    rows: list[TaskEvaluated] = []
    seconds: list[float | None] = []
    digest, is_compiled = "", False
    for event in start(spec, machine):
        shown(event)
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
        "environment": describe(machine.device) | peaks(machine.device) | {"compiled": is_compiled},
    }


def _summary(rows: list[TaskEvaluated], classifier: str) -> dict[str, Any]:
    counts = [row.results[classifier] for row in rows]
    return summarize(
        [count.correct for count in counts], [count.correct_top5 for count in counts], rows[-1].test_images
    ).model_dump(mode="json")


def _fail(spec: RunSpec, error: Exception, result: Result, console: Console) -> None:
    name = type(error).__name__
    result.failures.append({"seed": spec.seed, "error": name, "message": str(error)})
    if isinstance(error, MethodError):
        _say(console, "\n".join(error.traceback))
    if not isinstance(error, (EngineError, RuntimeError, MemoryError, OSError)):
        _say(console, "".join(traceback.format_exception(error)))
    _say(console, f"seed {spec.seed}: {name}: {error}")


def _write(write: Callable[[str], None], result: Result, console: Console) -> bool:
    try:
        write(result.json())
    except CannotWrite as error:
        _say(console, f"cil run: {error}")
        return False
    return True


def _say(console: Console, text: str) -> None:
    console.print(text, style="red", markup=False, highlight=False)
