"""Where the time of whole runs goes, how it grows with tasks, and parity with the common loop.

* Parity: iCaRL on digits, ours and `common_loop`, over the same seeds: 0 lies inside the 95 % interval of the
  difference.
* Shares: everything but training (selection, class means, transport, evaluation) in a run of each method.
* Memory: what lives between two steps, beside the dataset and what training must hold.
* Growth: seconds of each of nine tasks, drawn beside the report; flat for one backbone, linear for expanding
  networks.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from itertools import accumulate
from pathlib import Path

import torch
from scipy import stats

from api.pages.figures.trace import trace
from benchmarks.common_loop import CommonLoop
from benchmarks.report import Report, options
from cil_core.data import load
from cil_core.data.order import task_stream
from cil_core.engine.machine import Machine
from cil_core.engine.registry import create
from cil_core.engine.run import context_of, learn_task, run
from cil_core.learning.phase import Task
from cil_core.spec.catalog import DATASETS
from cil_core.spec.events import EpochFinished, TaskEvaluated, TaskStarted
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.metrics import summarize
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.recipes.base import SMALL

TRACK = "digits-b0-inc2-m50-convnet"
NINE_TASKS = "digits-b2-inc1-m50-convnet"
ROOT = Path("var/data")
EXPANDING = frozenset(name for name, recipe in BY_NAME.items() if recipe.family == "expansion")


def our_accuracy(spec: RunSpec, data_root: Path) -> float:
    """Average incremental accuracy of our run, by its ranking classifier."""
    done = [event for event in run(spec, Machine(data_root=data_root)) if isinstance(event, TaskEvaluated)]
    rows = [event.results[spec.method.classifiers[0]] for event in done]
    return summarize(
        [row.correct for row in rows], [row.correct_top5 for row in rows], done[-1].test_images
    ).average_accuracy


def common_accuracy(seed: int) -> float:
    """Average incremental accuracy of the common loop's iCaRL."""
    track = Track.from_slug(TRACK)
    tasks = task_stream(load(track, ROOT), track, "cpu")
    loop = CommonLoop(
        DATASETS[track.dataset], track.backbone, SMALL, memory=track.memory.amount, temperature=2, seed=seed
    )
    curve: list[float] = []
    for index, task in enumerate(tasks):
        loop.learn(task.train.images, task.train.labels, new=2)
        tests = [data.test for data in tasks[: index + 1]]
        curve.append(
            loop.accuracy(
                torch.cat([test.images for test in tests]), torch.cat([test.labels for test in tests])
            )
        )
    return statistics.mean(curve)


def parity(report: Report, seeds: range) -> None:
    """Ours minus theirs, by Welch's test: seeds do not pair, since the two draw different numbers."""
    specs = [
        RunSpec.model_validate({"method": {"name": "icarl", "preset": "small"}, "track": TRACK, "seed": seed})
        for seed in seeds
    ]
    mine, theirs = [our_accuracy(spec, ROOT) for spec in specs], [common_accuracy(seed) for seed in seeds]
    report.add("parity: ours, average incremental accuracy", 100 * statistics.mean(mine), "%")
    report.add("parity: common loop", 100 * statistics.mean(theirs), "%")
    interval = stats.ttest_ind(mine, theirs, equal_var=False).confidence_interval(0.95)
    report.notes.append(
        f"Parity over {len(seeds)} seeds: difference of the means in "
        f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}] % (95 %, Welch)."
    )
    report.add(
        "parity: 0 lies in the interval (1 = yes)", float(interval.low <= 0 <= interval.high), "", at_least=1
    )


def shares(report: Report, method: str) -> None:
    """Seconds outside of training epochs."""
    tasks, training = task_seconds(method, TRACK)
    report.add(f"{method}: outside of training", 100 * (1 - training / sum(tasks)), "% of the run", at_most=8)


def growth(report: Report, method: str, out: Path | None) -> None:
    """Growth of the later tasks: a straight line through their seconds."""
    runs = [
        task_seconds(method, NINE_TASKS)[0][1:] for _ in range(3 if out else 1)
    ]  # the first task has no memory and no teacher
    later = [statistics.median(same_task) for same_task in zip(*runs, strict=True)]
    line = stats.linregress(range(len(later)), later)
    grown = float(100 * line.slope * (len(later) - 1) / statistics.mean(later))
    report.add(
        f"{method}: growth from the second task to the ninth",
        grown,
        "% of the mean",
        at_most=None if method in EXPANDING else 25,
    )
    if method in EXPANDING:
        report.add(
            f"{method}: a straight line explains",
            float(100 * line.rvalue**2),
            "% of the variance",
            at_least=90,
        )
    report.notes.append(
        f"{method}: seconds of the tasks 2 to 9: {', '.join(f'{seconds:.2f}' for seconds in later)}."
    )
    if out:
        title = f"Seconds of each task of {method} on {NINE_TASKS}"
        out.with_name(f"growth-{method}.svg").write_text(
            trace(
                [(place, seconds) for place, seconds in enumerate(later, start=2)],
                title,
                "task",
                standalone=True,
            )
        )


def memory(report: Report, method: str) -> None:
    """Bytes that live between two steps of the last task: images beside the dataset's, other tensors."""
    before = _alive()
    spec = RunSpec.model_validate({"method": {"name": method, "preset": "small"}, "track": TRACK, "seed": 1})
    source = load(spec.track, ROOT)
    card, dataset = source.card, source.arrays.train_images.nbytes + source.arrays.test_images.nbytes
    tasks = task_stream(source, spec.track)
    del source
    learner = create(spec.method, context_of(spec, card, "cpu"))
    bounds = tuple(accumulate(spec.track.protocol.task_sizes(card.classes), initial=0))
    for index in range(len(tasks)):
        for event in learn_task(learner, Task(index, bounds[: index + 2], tasks[index].train)):
            if isinstance(event, EpochFinished) and event.epoch == event.epochs - 1:
                images, others = (now - then for now, then in zip(_alive(), before, strict=True))
                trained = sum(
                    parameter.nbytes for parameter in learner.net.parameters() if parameter.requires_grad
                )
                held = 2 * trained + sum(
                    value.nbytes for name, value in learner.state_dict().items() if value.is_floating_point()
                )
        learner.finish_task()
    report.add(f"{method}: images", images / dataset, "× the dataset")
    report.add(f"{method}: other tensors", others / held, "× model state", at_most=1.2)


def _alive() -> tuple[int, int]:
    """Bytes of images, and of all other tensors, in this process."""
    gc.collect()
    storages = {
        value.untyped_storage().data_ptr(): value
        for value in gc.get_objects()
        if type(value) in {torch.Tensor, torch.nn.Parameter}
    }
    sizes = [(value.dtype is torch.uint8, value.untyped_storage().nbytes()) for value in storages.values()]
    return sum(size for is_image, size in sizes if is_image), sum(
        size for is_image, size in sizes if not is_image
    )


def task_seconds(method: str, track: str) -> tuple[list[float], float]:
    """Seconds of each task, and of all training epochs together."""
    spec = RunSpec.model_validate({"method": {"name": method, "preset": "small"}, "track": track, "seed": 1})
    before, training, tasks = time.perf_counter(), 0.0, list[float]()
    for event in run(spec, Machine(data_root=ROOT)):
        now = time.perf_counter()
        if isinstance(event, TaskStarted):
            tasks.append(0.0)
        if isinstance(event, EpochFinished):
            training += now - before
        if tasks:
            tasks[-1] += now - before
        before = now
    return tasks, training


def main() -> int:
    """Measure, print and return the exit code: 1 if a target is missed."""
    chosen = options(__doc__ or "")
    report = Report("methods", "Whole runs on digits (convnet, 5 tasks, preset small)")
    parity(report, range(3 if chosen.quick else 10))
    for method in (
        ("icarl", "coil")
        if chosen.quick
        else ("lwf", "icarl", "bic", "wa", "coil", "ewc", "ucir", "podnet", "der")
    ):
        shares(report, method)
        memory(report, method)
    for method in ("icarl",) if chosen.quick else ("icarl", "wa", "bic", "der", "memo"):
        growth(report, method, chosen.out)
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
