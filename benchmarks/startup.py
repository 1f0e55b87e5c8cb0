"""Start-up times and the memory of idle processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil

from api.client import Client
from benchmarks.report import Report, options

DIGITS = "digits-b0-inc2-m50-convnet"
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}


def seconds_of(command: list[str], repetitions: int) -> float:
    """Median wall-clock time of a command, once its files are in the cache."""
    taken = []
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=_ENVIRONMENT)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def up(report: Report, folder: Path, repetitions: int) -> None:
    """`cil up`: time until ready, memory of the API, and a claimed run's wait for its first batch."""
    ready, memory, waits = [], [], []
    for number in range(repetitions):
        began = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "api.client",
            "up",
            "--port",
            "0",
            "--data-dir",
            str(folder / str(number)),
        ]
        process = subprocess.Popen(command, env=_ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if "ready" not in process.stdout.readline():
            raise RuntimeError("cil up did not start")
        ready.append(time.perf_counter() - began)
        known = json.loads((folder / str(number) / "connection.json").read_text())
        with Client(known["server"], known["token"]) as client:
            client.get("/tracks")
            api = next(
                row
                for row in json.loads((folder / str(number) / "processes.json").read_text())
                if row["name"] == "api"
            )
            memory.append(psutil.Process(api["pid"]).memory_info().rss / 1e6)
            job = client.submit({"name": "finetune", "preset": "small"}, DIGITS, [1, 2, 3])
            client.wait(job.id)
            waits += first_batches(client, job.id)
        process.terminate()
        process.communicate(timeout=60)
    report.add("cil up: ready", statistics.median(ready), "s", at_most=5)
    report.add("API after its first question: resident memory", statistics.median(memory), "MB", at_most=150)
    report.add("claim to first training batch", statistics.median(waits), "s", at_most=0.3)


def first_batches(client: Client, job_id: str) -> list[float]:
    """Seconds from the claim to the first task, of each run but the first, which also loads the worker."""
    moments: dict[tuple[str | None, str], datetime] = {}
    for event in client.follow(job_id):
        moments.setdefault(
            (event.run_id, event.kind), datetime.fromisoformat((event.model_extra or {})["created_at"])
        )
    runs = sorted(
        {run for run, kind in moments if kind == "run_claimed"}, key=lambda run: moments[run, "run_claimed"]
    )
    return [(moments[run, "task_started"] - moments[run, "run_claimed"]).total_seconds() for run in runs[1:]]


def main() -> int:
    """Measure and return the exit code."""
    chosen = options(__doc__ or "")
    report = Report("startup", "How long one waits")
    repetitions = 3 if chosen.quick else 9
    report.add(
        "cil --help",
        seconds_of([sys.executable, "-m", "api.client", "--help"], repetitions),
        "s",
        at_most=0.3,
    )
    bare = seconds_of([sys.executable, "-c", "pass"], repetitions)
    report.add(
        "import api.main",
        seconds_of([sys.executable, "-c", "import api.main"], repetitions) - bare,
        "s",
        at_most=1.0,
    )
    with tempfile.TemporaryDirectory(prefix="cil-bench-") as folder:
        up(report, Path(folder), 1 if chosen.quick else 3)
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
