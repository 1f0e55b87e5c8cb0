"""Training speed in images per second: our engine against the field's common loop.

Both train a resnet32 on the same 32 × 32 images at batch 128, through their whole path from stored pixels to
the optimiser's step. Ours is the product's own trainer with the product's own method. The full measurement
also compiles its backbones, as long runs may, and reports the gain, the cost, and the number of steps after
which compiling has paid.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch.utils.data import DataLoader

from benchmarks.common_loop import CommonLoop, Images, transforms_of
from benchmarks.report import Report, interleaved, options
from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.engine.registry import create
from cil_core.engine.trainer import train
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Phase, Task
from cil_core.learning.seeding import Randomness
from cil_core.spec.catalog import DATASETS
from cil_core.spec.jobs import MemoryBudget
from cil_core.spec.recipes.rectification import ICaRLRecipe
from cil_core.spec.schedule import Schedule

CARD = DATASETS["cifar10"]
PRECISIONS = ("fp32", "bf16")
BACKBONE, BATCH, NEW = "resnet32", 128, 5
ONE_EPOCH = Schedule(epochs=1, batch_size=BATCH, lr=0.01)
TARGETS = {"plain, fp32": 1.6, "distillation, fp32": 1.6, "plain, bf16": 3.0, "distillation, bf16": 3.7}


def images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pixels: their values do not affect the time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8), torch.arange(
        count
    ) % NEW


def ours(
    pixels: torch.Tensor,
    labels: torch.Tensor,
    precision: str,
    *,
    teacher: bool,
    compiled: bool = False,
    device: str = "cpu",
) -> Callable[[], object]:
    """One epoch of the product's iCaRL, in its first or in its second task."""
    where = torch.device(device)
    batches = frozenset({BATCH} if compiled else ())
    context = RunContext(
        dataset=CARD,
        backbone=BACKBONE,
        budget=MemoryBudget(kind="total", amount=20),
        task_sizes=(NEW, NEW),
        randomness=Randomness(1, where),
        device=where,
        precision=precision,
        compiled_batches=batches,
    )
    method = create(ICaRLRecipe(first_task=ONE_EPOCH, later_tasks=ONE_EPOCH), context)
    data = ArrayDataset(pixels, labels, Transform(CARD))
    task = Task(0, (0, NEW), data)
    method.grow(task)
    if teacher:
        method.remember(task)
        method.finish_task()
        task = Task(1, (0, NEW, 2 * NEW), ArrayDataset(pixels, labels + NEW, Transform(CARD)))
        method.grow(task)
    return lambda: list(train(phase_of(method, task), task, method.context.randomness))


def phase_of(method: Method, task: Task) -> Phase:
    """Its standard phase over this task's images alone, so that all contenders see equally many."""
    return method.standard_phase(task, data=task.train)


def common(pixels: torch.Tensor, labels: torch.Tensor, *, teacher: bool) -> Callable[[], object]:
    """One epoch of the common loop."""
    loop = CommonLoop(CARD, BACKBONE, ONE_EPOCH, memory=20, temperature=2, seed=1)
    loop.net.grow(NEW)
    if teacher:
        loop.teacher = loop.net
        loop = _second_task(loop)
    loader = DataLoader(
        Images(pixels, labels, transforms_of(CARD, train=True)), batch_size=BATCH, shuffle=True
    )
    optimizer = torch.optim.SGD(loop.net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    return lambda: loop.epoch(loader, optimizer)


def _second_task(loop: CommonLoop) -> CommonLoop:
    other = CommonLoop(CARD, BACKBONE, ONE_EPOCH, memory=20, temperature=2, seed=1)
    other.net.grow(NEW)
    other.net.grow(NEW)
    other.teacher = loop.net.eval().requires_grad_(False)
    return other


def _paid(cost: float, gain: float) -> str:
    """The cost of compiling before the first step, and the steps that win it back."""
    after = f"paid after {cost / gain:,.0f} steps" if gain > 0 else "never paid"
    return f"compiling took {cost:.0f} s, a step is {gain * 1000:.0f} ms shorter, {after}."


def _seconds(contend: Callable[[], object]) -> float:
    began = time.perf_counter()
    contend()
    return time.perf_counter() - began


def _add_ratio(
    report: Report, kind: str, precision: str, seconds: Mapping[str, float], variant: str = ""
) -> None:
    """How many times faster one of ours is than the common loop, with the target of its precision."""
    report.add(
        f"{kind}, {precision}{variant}: ratio",
        seconds["common"] / seconds[f"{precision}{variant}"],
        "×",
        at_least=TARGETS[f"{kind}, {precision}"],
    )


def main() -> int:
    """Measure, print and return the exit code: 1 if a target is missed."""
    chosen = options(__doc__ or "")
    batches, repetitions = (2, 3) if chosen.quick else (8, 7)
    pixels, labels = images(batches * BATCH)
    report = Report("engine", "Training speed against the common loop (resnet32, batch 128, 32 × 32, CPU)")
    for kind, teacher in (("plain", False), ("distillation", True)):
        contenders = {"common": common(pixels, labels, teacher=teacher)}
        cost = {}
        for precision in PRECISIONS:
            contenders[precision] = ours(pixels, labels, precision, teacher=teacher)
        for precision in () if chosen.quick else PRECISIONS:
            contend = ours(pixels, labels, precision, teacher=teacher, compiled=True)
            cost[precision] = _seconds(contend)
            contenders[f"{precision}, compiled"] = contend
        seconds = interleaved(contenders, repetitions)
        report.add(f"{kind}, common loop", len(pixels) / seconds["common"], "images/s")
        for precision in PRECISIONS:
            report.add(f"{kind}, ours {precision}", len(pixels) / seconds[precision], "images/s")
            _add_ratio(report, kind, precision, seconds)
            if precision in cost:
                _add_ratio(report, kind, precision, seconds, ", compiled")
                ready = seconds[f"{precision}, compiled"]
                paid = _paid(cost[precision] - ready, (seconds[precision] - ready) / batches)
                report.notes.append(f"{kind}, {precision}, compiled: {paid}")
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
