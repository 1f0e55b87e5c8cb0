"""`make demo`: the whole way once, as a user would go it.

It starts `cil up` as a process of its own, submits every method over HTTP, shows the progress, prints the leaderboard, stores the leaderboard's page
and its picture, and stops the service. On the same data directory a second demo finds everything finished and ends in seconds.
"""

from __future__ import annotations

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

from api.client import Client, Job
from api.client.connection import Connection
from api.client.show import leaderboard_table

TRACK = "digits-b0-inc2-m50-convnet"
SEEDS = (1993, 1994, 1995)
PRESET = "small"
STATIC = re.compile(r'<link rel="stylesheet" href="([^"]+)"[^>]*>')
PICTURE = re.compile(r"<svg[^>]*class=\"chart\".*?</svg>", re.DOTALL)


def run_demo(data_dir: Path) -> int:
    """Run the demo.

    Returns:
        0 if every run succeeded, else 1.
    """
    console = Console()
    with _service(data_dir, console) as connection, Client(connection.server, connection.token) as client:
        jobs = _submit_all(client, console)
        jobs = _watch(client, jobs, console)
        console.print(leaderboard_table(TRACK, client.leaderboard(TRACK).items))
        for path in _save_page(connection.server, data_dir):
            console.print(f"wrote {path}")
    failures = [f"{job.method}, seed {run.seed}: {run.state}: {run.message}" for job in jobs for run in job.runs if run.state != "succeeded"]
    for failure in failures:
        console.print(failure, style="red", markup=False)
    if not failures:
        console.print(f"All {sum(len(job.runs) for job in jobs)} runs succeeded. `make serve` opens these results as a running service.")
    return 1 if failures else 0


@contextmanager
def _service(data_dir: Path, console: Console) -> Iterator[Connection]:
    """`cil up` on a free port, stopped at the end."""
    console.print(f"Starting the service on {data_dir} ...")
    command = [sys.executable, "-m", "api.client", "up", "--port", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 — our own command
    try:
        first_line = process.stdout.readline() if process.stdout else ""
        connection = Connection.read(data_dir / "connection.json")
        if not first_line or connection is None:
            raise SystemExit(f"the service did not start; see {data_dir / 'logs'}")
        console.print(first_line.strip())
        yield connection
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _submit_all(client: Client, console: Console) -> list[Job]:
    """Every method in its preset for small data, and the variants that carry `small-` in their name."""
    recipes = [{"name": method["name"], "preset": preset} for method in client.get("/methods")["items"] for preset in sorted(method["presets"])]
    wanted = [recipe for recipe in recipes if recipe["preset"] == PRESET or recipe["preset"].startswith(f"{PRESET}-")]
    jobs = [client.submit(recipe, TRACK, SEEDS, name="demo") for recipe in wanted]
    console.print(f"Submitted {len(jobs)} jobs of {len(SEEDS)} seeds on track {TRACK}.")
    return jobs


def _watch(client: Client, jobs: list[Job], console: Console) -> list[Job]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=sum(len(job.runs) for job in jobs), now="")
        while True:
            jobs = [job if job.is_finished else client.job(job.id) for job in jobs]
            ended = sum(run.state not in {"queued", "running"} for job in jobs for run in job.runs)
            now = sorted({job.method for job in jobs for run in job.runs if run.state == "running"})
            progress.update(bar, completed=ended, now=", ".join(now))
            if all(job.is_finished for job in jobs):
                return jobs
            time.sleep(0.5)


def _save_page(server: str, data_dir: Path) -> list[Path]:
    """The leaderboard's page with its style sheets inside, and the picture of the curves by itself."""
    page = httpx.get(f"{server}/tracks/{TRACK}", timeout=30).raise_for_status().text
    picture = PICTURE.search(page)
    for link in STATIC.finditer(page):
        sheet = httpx.get(httpx.URL(server).join(link[1]), timeout=30).raise_for_status().text
        page = page.replace(link[0], f"<style>{sheet}</style>")
    written = [data_dir / "leaderboard.html"]
    written[0].write_text(page)
    if picture:
        written.append(data_dir / "curves.svg")
        written[1].write_text(picture[0])
    return written
