"""Sentences of the pages that depend on values: templates hold the markup, this module the grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from api.pages import formats
from api.shared import numbers
from cil_core.spec.jobs import MemoryBudget, Protocol
from cil_core.spec.metrics import Summary
from cil_core.spec.samples import DEFAULT_LIST, FewShot, Sample
from store.leaderboard.entries import Entry
from store.leaderboard.significance import ALPHA, PairedTest

REDIS_IS_AWAY = (
    "Redis does not answer. Reading and submitting work as usual;"
    " workers find new runs by themselves within seconds."
)
INTERVAL = "mean over seeds ± half the 95 % confidence interval"

_BUDGETS = {
    "none": "none",
    "total": "{} exemplars",
    "per_class": "{} exemplars per class",
    "bytes": "{} bytes of exemplars",
    "aligned": "as many bytes as DER with {} exemplars: networks and exemplars together",
}

_TRUST = {
    "verified": ("✓", "Ran on this service."),
    "replayed": ("✓✓", "Ran on this service; a second run reproduced the results."),
    "reported": ("“”", "Reported from elsewhere; did not run on this service."),
}


def task_sizes(protocol: Protocol) -> str:
    """How many classes each task brings."""
    if protocol.first == protocol.increment:
        return f"{protocol.first} classes per task"
    return f"{protocol.first} classes in the first task, then {protocol.increment} per task"


def memory_budget(memory: MemoryBudget) -> str:
    """What a method may keep between tasks."""
    return _BUDGETS[memory.kind].format(memory.amount)


def trust_mark(trust: str) -> str:
    """The mark of a badge."""
    return _TRUST[trust][0]


def trust_meaning(trust: str) -> str:
    """What a badge means."""
    return _TRUST[trust][1]


def track_status(leader: Entry | None, entries: int) -> str:
    """The state of a track in one sentence; the time of the last result follows it."""
    if leader is not None:
        accuracy = formats.percent(leader.metrics["average_accuracy"].mean)
        return f"{leader.title} leads with {accuracy} % average accuracy"
    return "Only upper bounds so far" if entries else "Submitted; no run has finished yet"


def lead(leading: dict[str, Any]) -> Markup:
    """The leader, its lead and its significance; `leading` as `api.pages.track.leading` returns it."""
    first = leading["first"]
    if leading["second"] is None:
        return Markup("<strong>{}</strong> is the only ranked entry so far.").format(first.title)
    accuracy = formats.percent(first.metrics["average_accuracy"].mean)
    ahead = formats.percent(leading["ahead"], 2)
    return Markup("<strong>{}</strong> leads with {} % average accuracy, {} points ahead of {}. {}").format(
        first.title, accuracy, ahead, leading["second"].title, _significance(leading)
    )


def _significance(leading: dict[str, Any]) -> str:
    peers = leading["peers"]
    if not leading["tested"]:
        return "With fewer than 3 seeds, the difference may be due to chance."
    if len(peers) == 1:
        return f"Not significantly different from {peers[0].title} (paired test over seeds)."
    if peers:
        return f"Not significantly different from the next {len(peers)} entries (paired tests over seeds)."
    return "Significantly different from every other entry (paired tests over seeds)."


def curves_caption(drawn: Sequence[Entry], total: int, floor: int) -> str:
    """What the chart of a leaderboard shows."""
    with_interval = any(entry.curve[0].interval for entry in drawn)
    sentences = ["Accuracy over all classes seen so far, after each task; mean over seeds."]
    if with_interval:
        sentences.append(interval_note(len(drawn)))
    if len(drawn) < total:
        sentences.append(f"The chart shows the best {len(drawn)} of {total} entries.")
    sentences += axis_note(floor)
    return " ".join([*sentences, "The table below lists the same numbers."])


def interval_note(curves: int) -> str:
    """How a chart shows 95 % intervals."""
    if curves <= 4:
        return "Bands are 95 % intervals."
    return "Whiskers at the last task are 95 % intervals; highlight a curve to see its band."


def axis_note(floor: int) -> list[str]:
    """A warning if the accuracy axis does not begin at zero."""
    return [f"The accuracy axis begins at {floor} %."] if floor else []


def reading_notes(leading: dict[str, Any] | None) -> list[str]:
    """How to read a leaderboard's table, one note per symbol."""
    notes = [
        f"Accuracies are in per cent, {INTERVAL}; with fewer than 3 seeds there is no interval.",
        "↑ higher is better, ↓ lower is better. A column's header sorts by it.",
        "★ marks the best ranked entry of a column.",
        "◆ marks the Pareto frontier: no ranked entry is at least as good in accuracy, bytes kept and time,"
        " and better in one of them.",
    ]
    if leading is not None:
        notes.append(
            "A thick line separates bands. Entries of a band do not differ significantly from its first entry"
            f" (paired t test, p ≥ {ALPHA}, corrected for the number of tests)."
        )
    return [
        *notes,
        "Memory is counted as in papers: exemplars (ex.) and backbones. “Kept” is everything stored between"
        " tasks.",
        "✓ verified: ran on this service. ✓✓ replayed: a second run reproduced the results.",
    ]


def filtered_to_nothing(exemplar_free: bool, classifier: str | None) -> str:
    """Why a leaderboard shows no entry although the track may have some."""
    filters = ["without exemplars"] if exemplar_free else []
    filters += [f"with the classifier {classifier}"] if classifier else []
    return f"No finished entry {' and '.join(filters)}."


def verdict(test: PairedTest) -> str:
    """The outcome of a paired test."""
    if test.mean is None:
        return "no seed in common"
    if test.t_p_holm is None:
        return f"{formats.counted(len(test.seeds), 'seed')} in common: too few to test"
    if test.t_p_holm < ALPHA:
        return "better" if test.mean > 0 else "worse"
    return "no significant difference"


def sample(chosen: Sample) -> str:
    """Which training images a track uses, e.g. `5 per class after the first task`."""
    if isinstance(chosen, FewShot):
        which = "" if chosen.seed == DEFAULT_LIST else f" (list {chosen.seed})"
        return f"{chosen.shots} per class after the first task{which}"
    order = "in order of arrival" if chosen.ordered else "in order of class numbers"
    return f"long-tailed {order}: the first class has {chosen.ratio} times as many as the last"


def friedman(p: float | None) -> str:
    """The outcome of Friedman's test."""
    if p is None:
        return ""
    finding = "a" if p < ALPHA else "no"
    size = numbers.p_value(p)
    relation = size if size.startswith("<") else f"= {size}"
    return f"Friedman's test finds {finding} significant difference among the methods (p {relation})."


def outlook(workers: int, seconds_per_run: float | None, position: int) -> str:
    """Why a job waits, and for about how long.

    Args:
        workers: those online.
        seconds_per_run: what recent runs took; None if none finished lately.
        position: queued runs before the job.
    """
    if not workers:
        return "No worker is online; the run starts when one connects."
    online = f"{formats.counted(workers, 'worker')} {'is' if workers == 1 else 'are'} online"
    if seconds_per_run is None:
        return f"{online}."
    start = numbers.duration(position * seconds_per_run / workers)
    took = numbers.duration(seconds_per_run)
    return f"{online}; runs of the last hour took {took} each. Expected start: in {start}."


def lacking_weights(key: str) -> str:
    """Why a job on a pre-trained track waits although workers are online."""
    return f" None of them offers the weights {key}, which need the extra `pretrained` and their file."


def jobs_caption(filters: Mapping[str, str]) -> str:
    """What a list of jobs shows."""
    return f"Jobs with {_listed(filters)}, the newest first." if filters else "All jobs, the newest first."


def no_jobs(filters: Mapping[str, str]) -> str:
    """Why a list of jobs is empty."""
    return f"No job with {_listed(filters)}." if filters else "No job has been submitted yet."


def _listed(filters: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {value}" for name, value in filters.items())


def replay_outcome(agrees: bool | None, bitwise: bool | None, largest_difference: float | None) -> str:
    """What a replay found; it follows the link to the replay."""
    if agrees is None:
        return "is in progress."
    if bitwise:
        return "reproduced every count."
    gap = formats.percent(largest_difference, 2)
    return f"{'agrees' if agrees else 'does not agree'}: its curves differ by at most {gap} points."


def run_summary(summary: Summary | None) -> str:
    """The metrics of a run in one sentence; empty until every task has been tested."""
    if summary is None:
        return ""
    average, last = formats.percent(summary.average_accuracy, 2), formats.percent(summary.last_accuracy, 2)
    forgetting = (
        "" if summary.forgetting is None else f", forgetting {formats.percent(summary.forgetting, 2)}"
    )
    return f"Average {average}, last {last}{forgetting}."


def progress(epoch: dict[str, Any], tasks: int | None) -> str:
    """Where a running run is."""
    task = f"task {epoch['task'] + 1}" + (f" of {tasks}" if tasks else "")
    return f"{task}, phase {epoch['phase']}, epoch {epoch['epoch'] + 1} of {epoch['epochs']}"


def lease(attempt: int, seconds_left: float) -> str:
    """The state of a worker's lease on a run."""
    if seconds_left <= 0:
        return f"attempt {attempt}, lease expired"
    return f"attempt {attempt}, lease expires in {numbers.duration(seconds_left)}"


def queue_status(length: int, ready: int, oldest_seconds: float | None) -> str:
    """The state of a queue."""
    oldest = "" if oldest_seconds is None else f", the oldest for {numbers.duration(oldest_seconds)}"
    return f"{length} queued, {ready} ready{oldest}"


def cost(runs: int, title: str, seconds_per_run: float | None) -> str:
    """The number of runs of a job, and the duration of earlier runs of its method."""
    if seconds_per_run is None:
        return f"{formats.counted(runs, 'run')}."
    took = numbers.duration(seconds_per_run)
    return f"{formats.counted(runs, 'run')}; earlier runs of {title} on this track took {took} each."
