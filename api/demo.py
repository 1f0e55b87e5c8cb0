"""`make demo`: the whole way once, as a user would go it.

It starts `cil up` as a process of its own, submits every method over HTTP, shows the progress, prints the leaderboard, stores the leaderboard's page
and its picture, and stops the service. On the same data directory a second demo finds everything finished and ends in seconds.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from api.client import Client, Job
from api.client.connection import FILE, Connection
from api.client.tables import LeaderboardTable
from api.processes import dying_with

TRACK = "digits-b0-inc2-m50-convnet"
SEEDS = (1993, 1994, 1995)
PRESET = "small"
ALSO = ({"name": "icarl", "preset": "small-bce"},)
STYLE_SHEET = re.compile(r'<link rel="stylesheet" href="([^"]+)"[^>]*>')


def run_demo(data_dir: Path) -> int:
    """Run the demo.

    Returns:
        0 if every run succeeded, else 1.
    """
    console = Console()
    with serving(data_dir, console) as connection, Client(connection.server, connection.token) as client:
        jobs = _watch(client, _submit_all(client, console), console)
        console.print(LeaderboardTable(client.leaderboard(TRACK)))
        for path in _save_page(connection.server, data_dir):
            console.print(f"wrote {path}")
    failures = [f"{job.method}, seed {run.seed}: {run.state}: {run.message}" for job in jobs for run in job.runs if run.state != "succeeded"]
    for failure in failures:
        console.print(Text(failure, style="red"))
    if not failures:
        console.print(f"All {sum(len(job.runs) for job in jobs)} runs succeeded. `make serve` opens these results as a running service.")
    return 1 if failures else 0


@contextmanager
def serving(data_dir: Path, console: Console) -> Iterator[Connection]:
    """`cil up` on a free port, stopped at the end."""
    console.print(f"Starting the service on {data_dir} ...")
    command = [sys.executable, "-m", "api.client", "up", "--port", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=dying_with(os.getpid()))  # noqa: S603, PLW1509 - our own command; one thread
    try:
        greeting = process.stdout.readline() if process.stdout else ""
        connection = Connection.read(data_dir / FILE) if greeting else None
        if connection is None:  # it has said why
            raise SystemExit(process.wait() or 1)
        console.print(greeting.strip())
        yield connection
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _submit_all(client: Client, console: Console) -> list[Job]:
    """Every method in its preset for small data, and the variants worth seeing."""
    recipes = [{"name": method.name, "preset": PRESET} for method in client.methods()]
    jobs = [client.submit(recipe, TRACK, SEEDS, name="demo") for recipe in (*recipes, *ALSO)]
    console.print(f"Submitted {len(jobs)} jobs of {len(SEEDS)} seeds on the track {TRACK}.")
    return jobs


def _watch(client: Client, jobs: list[Job], console: Console) -> list[Job]:
    """The jobs when all have ended; meanwhile a bar, and a line for each job that ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[now]}"))
    told: set[str] = set()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=sum(len(job.runs) for job in jobs), now="")
        while True:
            jobs = [job if job.is_finished else client.job(job.id) for job in jobs]
            for job in jobs:
                if job.is_finished and job.id not in told:
                    progress.console.print(_line(job), highlight=False)
                    told.add(job.id)
            now = sorted({f"{job.method} (seed {run.seed})" for job in jobs for run in job.runs if run.state == "running"})
            progress.update(bar, completed=sum(run.is_finished for job in jobs for run in job.runs), now=", ".join(now))
            if len(told) == len(jobs):
                return jobs
            time.sleep(0.5)


def _line(job: Job) -> str:
    accuracies = [run.average_accuracy for run in job.runs if run.average_accuracy is not None]
    mean = f"average incremental accuracy {100 * sum(accuracies) / len(accuracies):.1f} %" if accuracies else ""
    return f"  {job.method:12} {job.state}{' (as before)' if job.reused else ''}  {mean}"


def _save_page(server: str, data_dir: Path) -> list[Path]:
    """The leaderboard's page with its style sheets inside, and the picture of the curves."""
    with httpx.Client(base_url=server, timeout=30, trust_env=False) as http:
        page = http.get(f"/tracks/{TRACK}").raise_for_status().text
        for link in STYLE_SHEET.finditer(page):
            page = page.replace(link[0], f"<style>{http.get(link[1]).raise_for_status().text}</style>")
        picture = http.get(f"/tracks/{TRACK}/curves.svg").raise_for_status().text
    written = {data_dir / "leaderboard.html": page, data_dir / "curves.svg": picture}
    for path, text in written.items():
        path.write_text(text)
    return [*written]
