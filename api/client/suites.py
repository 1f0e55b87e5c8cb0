"""A suite on a service: its cost, its submission, its progress, and its tables next to the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.client.listing import stacked
from api.client.models import Job, Leaderboard
from api.client.output import progress_line
from api.client.polling import Pauses
from api.client.sdk import Client
from api.client.tables import leaderboard_table, reported_table
from api.shared.numbers import duration, percent
from cil_core.spec.suites import Suite

MAX_PAGE = 200
"""Jobs in one answer."""


@dataclass(frozen=True)
class Cost:
    """What a suite will take.

    Attributes:
        finished: runs that are finished already.
        runs: all runs.
        seconds: computing time of the others, as far as finished runs of the same recipe on the same track
            show it.
        unknown: runs left without such a finished run.
    """

    finished: int
    runs: int
    seconds: float
    unknown: int

    def __str__(self) -> str:
        left = self.runs - self.finished
        if not left:
            return f"{self.runs} runs, all of them finished"
        parts = [f"{self.runs} runs, {left} to execute"]
        if left > self.unknown:
            parts.append(f"about {duration(self.seconds)} of computing for {left - self.unknown} of them")
        if self.unknown:
            parts.append(f"no estimate for {self.unknown} (recipes without a finished run here)")
        return "; ".join(parts)


def cost(client: Client, suite: Suite) -> Cost:
    """What a suite would take on a service now."""
    finished, seconds, unknown = 0, 0.0, 0
    known = {track["slug"] for track in client.get("/tracks")["items"]}  # a dataset may not be registered
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
    """Submit every job of a suite; finished runs are reused."""
    return [client.submit_json(job.model_dump(mode="json")) for job in suite.jobs()]


def watch(client: Client, jobs: Sequence[Job], console: Console, poll_seconds: float = 0.5) -> list[Job]:
    """The jobs when all have ended; meanwhile a bar, and a line for each job that ends.

    Args:
        client: of the service that has the jobs.
        jobs: as they were submitted.
        console: where progress is shown.
        poll_seconds: the first pause between two requests; pauses grow while nothing changes.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )
    latest = {job.id: job for job in jobs}
    reported, pauses = set[str](), Pauses(poll_seconds)
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("runs", total=sum(len(job.runs) for job in jobs), now="")
        while True:
            for job in latest.values():
                if job.is_finished and job.id not in reported:
                    progress_line(progress.console, _line(job, several=len({job.track for job in jobs}) > 1))
                    reported.add(job.id)
            done = sum(run.is_finished for job in latest.values() for run in job.runs)
            progress.update(bar, completed=done, now=_running(latest.values()))
            if len(reported) == len(latest):
                return [latest[job.id] for job in jobs]
            pauses.sleep(latest.copy())
            latest |= _changed(client, latest)


def _changed(client: Client, latest: Mapping[str, Job]) -> dict[str, Job]:
    """The unfinished jobs as they are now: one list for all, and one request per job that has ended."""
    waiting = {job.id: job for job in latest.values() if not job.is_finished}
    oldest = min(job.created_at for job in waiting.values()) - timedelta(milliseconds=1)
    users = {job.user_id for job in waiting.values()}
    of_user: dict[str, str] = {}
    if len(users) == 1 and (user := users.pop()):
        of_user["user"] = user
    found: dict[str, Job] = {}
    for job in client.jobs(created_after=oldest.isoformat(), limit=MAX_PAGE, **of_user):
        if job.id in waiting:
            found[job.id] = client.job(job.id) if job.is_finished else job
        if len(found) == len(waiting):
            break
    return found | {job_id: client.job(job_id) for job_id in waiting if job_id not in found}


def _running(jobs: Iterable[Job]) -> str:
    """The first running runs, in little space."""
    running = sorted(
        {f"{job.method} seed {run.seed}" for job in jobs for run in job.runs if run.state == "running"}
    )
    return running[0] + (f" and {len(running) - 1} more" if running[1:] else "") if running else ""


def failures(jobs: Sequence[Job]) -> list[str]:
    """Every run that did not succeed, with its message."""
    return [
        f"{job.method} on {job.track}, seed {run.seed}: {run.state}: {run.message}"
        for job in jobs
        for run in job.runs
        if run.state != "succeeded"
    ]


def tables(boards: Sequence[Leaderboard]) -> RenderableType:
    """The entries of every track and, where papers report on it, their figures with the gaps to ours."""
    shown: list[RenderableType] = []
    for board in boards:
        shown.append(leaderboard_table(board))
        if board.reported:
            shown.append(reported_table(board))
    return stacked(*shown)


def _key(recipe: dict[str, Any]) -> str:
    return repr(sorted(recipe.items()))


def _line(job: Job, several: bool) -> str:
    accuracies = [run.average_accuracy for run in job.runs if run.average_accuracy is not None]
    parts = [
        f"{job.method:12}",
        job.track if several else "",
        f"{job.state}{' (as before)' if job.reused else ''}",
        f"average accuracy {percent(sum(accuracies) / len(accuracies))} %" if accuracies else "",
    ]
    return "  " + "  ".join(part for part in parts if part)
