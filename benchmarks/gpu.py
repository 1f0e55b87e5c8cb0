"""iCaRL on CIFAR-100 on one GPU: time of a whole run, and the gain from several seeds at once.

The run is 10 tasks of 10 classes, resnet32, 200 + 9 × 170 epochs of batch 128. The benchmark times whole
epochs of the product's trainer on images of that number and size, for the first task and a later one, and
adds them up. Several seeds are as many processes on one device, as a worker with several slots starts them.
Without CUDA it says so and measures nothing; `--device cpu --images 256` tries it out.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.engine import images, ours
from benchmarks.report import Report, interleaved, options

FIRST_EPOCHS, LATER_EPOCHS, LATER_TASKS = 200, 170, 9
NEW_IMAGES, EXEMPLARS = 5000, 2000
WAYS = {
    "fp32": ("fp32", False),
    "fp32, compiled": ("fp32", True),
    "bf16": ("bf16", False),
    "bf16, compiled": ("bf16", True),
}
SEEDS = (2, 4)


def epoch(device: str, way: str, count: int, *, teacher: bool) -> Callable[[], object]:
    """An epoch over this many images; reading its losses at the end waits for the device."""
    precision, compiled = WAYS[way]
    pixels, labels = images(count)
    return ours(
        pixels.to(device), labels.to(device), precision, teacher=teacher, compiled=compiled, device=device
    )


def _seed(ready: Any, go: Any, found: Any, device: str, way: str, count: int, repetitions: int) -> None:
    later = epoch(device, way, count, teacher=True)
    later()
    ready.release()
    go.wait()
    began = time.perf_counter()
    for _ in range(repetitions):
        later()
    found.put(time.perf_counter() - began)


def together(device: str, way: str, count: int, repetitions: int, seeds: int) -> float:
    """Seconds until this many processes have each finished the same epochs of a later task."""
    context = multiprocessing.get_context("spawn")
    ready, go, found = context.Semaphore(0), context.Event(), context.Queue()
    processes = [
        context.Process(target=_seed, args=(ready, go, found, device, way, count, repetitions))
        for _ in range(seeds)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    go.set()
    slowest: float = max(found.get() for _ in processes)
    for process in processes:
        process.join()
    return slowest


def main() -> int:
    """Measure, print and return the exit code: 1 if a target is missed."""
    chosen = options(
        __doc__ or "",
        device={"default": "cuda:0"},
        images={"type": int, "default": NEW_IMAGES, "help": "new images of a task; 5000 is CIFAR-100's"},
    )
    repetitions = 2 if chosen.quick else 5
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        sys.stdout.write("there is no CUDA device: nothing was measured\n")
        return 0
    later = chosen.images * (NEW_IMAGES + EXEMPLARS) // NEW_IMAGES
    name = torch.cuda.get_device_name(chosen.device) if chosen.device.startswith("cuda") else "CPU"
    report = Report("gpu", f"iCaRL on CIFAR-100 B0-Inc10 on {name}")
    for way in WAYS:
        epochs = {
            "the first": epoch(chosen.device, way, chosen.images, teacher=False),
            "a later": epoch(chosen.device, way, later, teacher=True),
        }
        began = time.perf_counter()
        for each in epochs.values():
            each()
        report.notes.append(
            f"{way}: the first epoch of each kind took {time.perf_counter() - began:.1f} s together."
        )
        seconds = interleaved(epochs, repetitions)
        for which, taken in seconds.items():
            report.add(f"{way}: an epoch of {which} task", taken, "s")
        whole = FIRST_EPOCHS * seconds["the first"] + LATER_TASKS * LATER_EPOCHS * seconds["a later"]
        report.add(f"{way}: the whole run", whole / 60, "min", at_most=3)
        alone = together(chosen.device, way, later, repetitions, 1)
        for seeds in SEEDS:
            gained = seeds * alone / together(chosen.device, way, later, repetitions, seeds)
            report.add(
                f"{way}: {seeds} seeds at once, images a second together",
                gained,
                "×",
                at_least=3 if seeds == max(SEEDS) else None,
            )
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
