"""Methods on frozen features: seconds of a track of CIFAR-100's size, with and without kept features.

Features are drawn, as wide as those of ViT-B/16; the methods do the work that real ones cause.

* With kept features: seconds of ten tasks of ten classes, training and evaluation together.
* Without them: the same, and the network for every training image once and for every test image after each
  task. The seconds of the network are measured on a few images and multiplied.
"""

from __future__ import annotations

import resource
import sys
import time
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import Report, options
from cil_core.data.features import FeatureDataset
from cil_core.data.order import TaskData
from cil_core.engine.evaluation import evaluate
from cil_core.engine.registry import create
from cil_core.engine.run import learn_task
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Task
from cil_core.learning.seeding import Randomness
from cil_core.nets.pretrained import PretrainedBackbone, architecture
from cil_core.spec.catalog import DATASETS, WEIGHTS
from cil_core.spec.jobs import MemoryBudget
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.weights_files import WeightsFile

CARD = WEIGHTS["vit_b16-augreg_in21k"]
CLASSES, TASKS, WIDTH = 100, 10, CARD.feature_dim
SIZES = (CLASSES // TASKS,) * TASKS
NOISE = 3.0
CPU = torch.device("cpu")

Case = tuple[str, str, dict[str, Any], float]
"""Label, recipe, its values, and at most how many seconds."""

CASES: dict[str, Case] = {
    "simplecil": ("SimpleCIL", "simplecil", {}, 30),
    "fecam": ("FeCAM", "fecam", {"preset": "pretrained"}, 30),
    "acil": ("ACIL, D = 2048", "acil", {"preset": "compact"}, 30),
    "fetril": ("FeTrIL", "fetril", {"preset": "pretrained"}, 30),
    "ranpac": ("RanPAC, M = 2000", "ranpac", {"preset": "compact"}, 30),
    "ranpac-large": ("RanPAC, M = 10000", "ranpac", {}, 600),
}
QUICK = ("simplecil", "fecam", "acil", "fetril", "ranpac")


def drawn_tasks(train: int, test: int) -> list[TaskData]:
    """Features of classes around random means, `train` and `test` of each class."""
    generator = torch.Generator().manual_seed(1)
    means = torch.randn(CLASSES, WIDTH, generator=generator)

    def drawn(count: int) -> FeatureDataset:
        labels = torch.arange(CLASSES).repeat_interleave(count)
        noise = torch.randn(len(labels), WIDTH, generator=generator)
        return FeatureDataset(means[labels] + NOISE * noise, labels)

    whole = drawn(train), drawn(test)
    bounds = tuple(accumulate(SIZES, initial=0))
    return [TaskData(*(data.of_classes(low, high) for data in whole)) for low, high in pairwise(bounds)]  # type: ignore[arg-type]


def method_of(name: str, values: dict[str, Any]) -> Method:
    """A method whose backbone passes features through, as on a track with weights."""
    context = RunContext(
        dataset=DATASETS["cifar224"],
        backbone=CARD.backbone,
        budget=MemoryBudget(kind="none"),
        task_sizes=SIZES,
        randomness=Randomness(1, CPU),
        device=CPU,
        weights=WeightsFile(CARD, Path("drawn"), ""),
        frozen_features=True,
    )
    return create(BY_NAME[name].model_validate(values), context)


def seconds_of(name: str, values: dict[str, Any], tasks: list[TaskData]) -> tuple[float, float]:
    """Seconds of all tasks, and the share of test features that are right at the end."""
    method, bounds = method_of(name, values), tuple(accumulate(SIZES, initial=0))
    began = time.perf_counter()
    for index, data in enumerate(tasks):
        for _ in learn_task(method, Task(index, bounds[: index + 2], data.train)):
            pass
        counts = next(iter(evaluate(method, [task.test for task in tasks[: index + 1]]).values()))
        method.finish_task()
    taken = time.perf_counter() - began
    return taken, sum(counts.correct) / sum(len(task.test) for task in tasks)


def network_seconds(images: int) -> float:
    """Seconds of one image in the network, from a batch of `images`."""
    network = PretrainedBackbone(architecture(CARD)).eval()
    x = torch.randn(images, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network(x[:2])
        began = time.perf_counter()
        network(x)
        return (time.perf_counter() - began) / images


def main() -> int:
    """Measure, print and return the exit code: 1 if a target is missed."""
    chosen = options(__doc__ or "", only={"nargs": "+", "choices": list(CASES)})
    train, test = (50, 10) if chosen.quick else (500, 100)
    tasks = drawn_tasks(train, test)
    images = CLASSES * train
    passes = images + sum(CLASSES * test * (index + 1) // TASKS for index in range(TASKS))
    report = Report("pretrained", f"Methods on frozen features ({images} training images, {TASKS} tasks)")
    one = network_seconds(4 if chosen.quick else 16)
    report.add("ViT-B/16, one image", 1000 * one, "ms")
    report.add("features of the whole dataset, once", one * CLASSES * (train + test), "s")
    for key in chosen.only or (QUICK if chosen.quick else CASES):
        label, name, values, limit = CASES[key]
        taken, right = seconds_of(name, values, tasks)
        report.add(f"{label}: with kept features", taken, "s", at_most=None if chosen.quick else limit)
        report.add(f"{label}: without, computed", taken + one * passes, "s")
        report.notes.append(f"{label}: {100 * right:.1f} % of the drawn test features are right.")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report.notes.append(f"{torch.get_num_threads()} threads; at most {peak:.1f} GiB of memory.")
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
