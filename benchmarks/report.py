"""Output of every benchmark: figures beside their targets, and the machine that measured them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = (
    "cil-leaderboard",
    "torch",
    "torchvision",
    "numpy",
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "psycopg",
    "redis",
    "celery",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `met` is None where there is no target."""

    what: str
    value: float
    unit: str
    target: str
    met: bool | None


@dataclass(slots=True)
class Report:
    """Figures of one benchmark.

    Args:
        name: the module's name.
        title: heads the table.
    """

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        what: str,
        value: float,
        unit: str,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Add a figure, with its target if it has one."""
        target = (
            f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}" if at_most is not None else ""
        )
        met = (
            None
            if not target
            else (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        )
        self.figures.append(Figure(what, value, unit, target, met))

    def finish(self, out: Path | None) -> int:
        """Print everything, write Markdown to `out`, and return the exit code."""
        table = Table("what", "measured", "unit", "target", "", title=self.title)
        for figure in self.figures:
            table.add_row(figure.what, f"{figure.value:.4g}", figure.unit, figure.target, _mark(figure.met))
        Console().print(table, *self.notes, sep="\n")
        if out:
            out.write_text(self.markdown())
        answer = {
            "benchmark": self.name,
            "machine": machine(),
            "versions": versions(),
            "figures": [asdict(figure) for figure in self.figures],
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        return 1 if any(figure.met is False for figure in self.figures) else 0

    def markdown(self) -> str:
        """The report as a file: command, machine, versions, figures, notes."""
        head = [
            f"# {self.title}",
            "",
            f"`python -m benchmarks.{self.name} {' '.join(sys.argv[1:])}` on {datetime.now(UTC):%Y-%m-%d}",
            "",
            f"Machine: {machine()}. "
            + ", ".join(f"{package} {number}" for package, number in versions().items())
            + ".",
            "",
            "| what | measured | unit | target | met |",
            "|---|---:|---|---|---|",
        ]
        rows = [
            f"| {figure.what} | {figure.value:.4g} | {figure.unit} | {figure.target} | {_mark(figure.met)} |"
            for figure in self.figures
        ]
        return "\n".join([*head, *rows, "", *(f"{note}\n" for note in self.notes)]).rstrip() + "\n"


def _mark(met: bool | None) -> str:
    return {None: "", True: "yes", False: "NO"}[met]


def machine() -> str:
    """Processor, cores, memory and load as text."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text() if cpuinfo.exists() else "").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = names[0] if names else platform.machine()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{processor}, {cores} cores, {memory:.0f} GiB, load {load:.1f}"


def versions() -> dict[str, str]:
    """Versions of Python and of the relevant installed packages."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def interleaved(contenders: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each contender; they take turns, so a busy moment affects all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for contend in contenders.values():
        contend()  # warm up
    for _ in range(repetitions):
        for name, contend in contenders.items():
            began = time.perf_counter()
            contend()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def options(description: str, **more: Mapping[str, Any]) -> argparse.Namespace:
    """Parse `--quick`, `--out` and further options; `more` maps names to argparse arguments."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="a minute instead of the full measurement; rough figures"
    )
    parser.add_argument("--out", type=Path, help="write the report here, as Markdown")
    for name, told in more.items():
        parser.add_argument(f"--{name}", **told)
    return parser.parse_args()
