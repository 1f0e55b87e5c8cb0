"""A suite on a service: what it will cost, submitting it, watching it, and its tables beside the published ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.client.models import Job, Leaderboard
from api.client.sdk import Client
from api.client.tables import LeaderboardTable, reported_table
from cil_core.spec.suites import Suite


@dataclass(frozen=True)
class Cost:
    """What a suite will take.

    Attributes:
        finished: runs that need not be executed again.
        runs: runs in all.
        seconds: computing left, as far as it is known from finished runs of the same recipe on the same track.
        unknown: runs left of which nothing is known.
    """

    finished: int
    runs: int
    seconds: float
    unknown: int

    def __str__(self) -> str:
        left = self.runs - self.finished
        if not left:
            return f"{self.runs} runs, all of them finished"
        known = (
            f"about {_duration(self.seconds)} of computing for those that ran here before"
            if left > self.unknown
            else ""
        )
        unknown = f"{self.unknown} of them of recipes that never ran here" if self.unknown else ""
        return f"{self.runs} runs, {left} to execute: {', '.join(filter(None, (known, unknown)))}"


def cost(client: Client, suite: Suite) -> Cost:
    """What a suite would take on a service as it stands."""
    finished, seconds, unknown = 0, 0.0, 0
    known = {
        track["slug"] for track in client.get("/tracks")["items"]
    }  # not a track of a dataset that nobody registered
    boards = {
        slug: {_key(entry.recipe): entry for entry in client.leaderboard(slug).items}
        for slug in suite.tracks
        if slug in known
    }
    for job in suite.jobs():
        entry = boards.get(job.track.slug, {}).get(_key(job.method.model_dump(mode="json")))
        done = {run.seed for run in entry.runs} if entry else set()
        left = [seed for seed in job.seeds if seed not in done]
        finished += len(job.seeds) - len(left)
        if entry and entry.train_seconds:
            seconds += len(left) * entry.train_seconds.mean
        else:
            unknown += len(left)
    return Cost(finished, suite.runs, seconds, unknown)


def submit(client: Client, suite: Suite) -> list[Job]:
    """Every job of a suite; what was submitted before is found again, not repeated."""
    return [client.submit_json(job.model_dump(mode="json", exclude_none=True)) for job in suite.jobs()]


def watch(client: Client, jobs: Sequence[Job], console: Console, poll_seconds: float = 0.5) -> list[Job]:
    """The jobs when all have ended; meanwhile a bar, and a line for each job that ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    several, told = len({job.track for job in jobs}) > 1, set[str]()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=sum(len(job.runs) for job in jobs), now="")
        while True:
            jobs = [job if job.is_finished else client.job(job.id) for job in jobs]
            for job in jobs:
                if job.is_finished and job.id not in told:
                    progress.console.print(_line(job, several), highlight=False)
                    told.add(job.id)
            now = sorted(
                {
                    f"{job.method} (seed {run.seed})"
                    for job in jobs
                    for run in job.runs
                    if run.state == "running"
                }
            )
            progress.update(
                bar, completed=sum(run.is_finished for job in jobs for run in job.runs), now=", ".join(now)
            )
            if len(told) == len({job.id for job in jobs}):
                return jobs
            time.sleep(poll_seconds)


def failures(jobs: Sequence[Job]) -> list[str]:
    """Every run that did not succeed, and why."""
    return [
        f"{job.method} on {job.track}, seed {run.seed}: {run.state}: {run.message}"
        for job in jobs
        for run in job.runs
        if run.state != "succeeded"
    ]


def tables(boards: Sequence[Leaderboard]) -> RenderableType:
    """Every track's entries and, where papers report on it, their figures with the gaps to ours."""
    shown: list[RenderableType] = []
    for board in boards:
        shown.append(LeaderboardTable(board))
        if board.reported:
            shown.append(reported_table(board))
    return Group(*shown)


def _key(recipe: dict[str, Any]) -> str:
    return repr(sorted(recipe.items()))


def _line(job: Job, several: bool) -> str:
    accuracies = [run.average_accuracy for run in job.runs if run.average_accuracy is not None]
    mean = (
        f"average incremental accuracy {100 * sum(accuracies) / len(accuracies):.1f} %" if accuracies else ""
    )
    return f"  {job.method:12} {f'{job.track}  ' if several else ''}{job.state}{' (as before)' if job.reused else ''}  {mean}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
