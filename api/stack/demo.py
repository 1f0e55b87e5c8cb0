"""`make demo`: the service end to end, as a user meets it.

It starts `cil up` as a process of its own, submits a suite over HTTP, shows the progress, prints the
leaderboards, stores the page and the picture of the first one, and stops the service. A second demo on the
same data directory finds every run finished and ends within seconds.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from api.client import Client, suites
from api.client.connection import FILE, Connection
from api.stack.processes import die_with
from cil_core.spec.suites import Suite

STYLE_SHEET = re.compile(r'<link rel="stylesheet" href="([^"]+)"[^>]*>')


def run_demo(data_dir: Path, suite: Suite) -> int:
    """Run the demo.

    Args:
        data_dir: holds all data of the service.
        suite: the jobs to submit.

    Returns:
        0 if every run succeeded, else 1.
    """
    console = Console()
    with serving(data_dir, console) as connection, Client(connection.server, connection.token) as client:
        console.print(f"Suite {suite.name}: {suites.cost(client, suite)}.", highlight=False)
        jobs = suites.watch(client, suites.submit(client, suite), console)
        console.print(suites.tables([client.leaderboard(track) for track in suite.tracks]))
        for path in _save_page(connection.server, suite.tracks[0], data_dir):
            console.print(f"wrote {path}")
    failures = suites.failures(jobs)
    for failure in failures:
        console.print(Text(failure, style="red"))
    if not failures:
        count = sum(len(job.runs) for job in jobs)
        console.print(f"All {count} runs succeeded. `make serve` shows these results as a running service.")
    return 1 if failures else 0


@contextmanager
def serving(data_dir: Path, console: Console) -> Iterator[Connection]:
    """`cil up` on a free port, stopped when the context ends."""
    console.print(f"Starting the service on {data_dir} ...")
    command = [sys.executable, "-m", "api.client", "up", "--port", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with(os.getpid()))  # noqa: S603, PLW1509 - a command of this package; one thread
    try:
        greeting = process.stdout.readline() if process.stdout else ""
        connection = Connection.read(data_dir / FILE) if greeting else None
        if connection is None:  # it has printed the reason
            raise SystemExit(process.wait() or 1)
        console.print(greeting.strip())
        yield connection
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _save_page(server: str, track: str, data_dir: Path) -> list[Path]:
    """The leaderboard's page with its style sheets inside, and the picture of the curves."""
    with httpx.Client(base_url=server, timeout=30, trust_env=False) as http:
        page = http.get(f"/tracks/{track}").raise_for_status().text
        for link in STYLE_SHEET.finditer(page):
            page = page.replace(link[0], f"<style>{http.get(link[1]).raise_for_status().text}</style>")
        picture = http.get(f"/tracks/{track}/curves.svg").raise_for_status().text
    written = {data_dir / "leaderboard.html": page, data_dir / "curves.svg": picture}
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return [*written]
