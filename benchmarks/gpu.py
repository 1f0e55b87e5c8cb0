"""How long iCaRL on CIFAR-100 (10 tasks of 10 classes, resnet32, 200 + 9 × 170 epochs of batch 128) takes on one GPU, and what several seeds at once are worth.

Measured are whole epochs of the product's trainer on images of that number and size, of the first task and of a later one; the run is their sum. Several seeds are
as many processes on one device, as a worker with several slots starts them. Without CUDA it says so and measures nothing; `--device cpu --images 256` tries it out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.engine import images, ours
from benchmarks.report import Report

FIRST_EPOCHS, LATER_EPOCHS, LATER_TASKS = 200, 170, 9
NEW_IMAGES, EXEMPLARS = 5000, 2000
PRECISIONS = ("fp32", "bf16")
SEEDS = (2, 4)


def epoch_seconds(device: str, precision: str, count: int, repetitions: int, *, teacher: bool) -> float:
    """Median seconds of an epoch over so many images."""
    pixels, labels = images(count)
    epoch = ours(pixels.to(device), labels.to(device), precision, teacher=teacher, device=device)
    epoch()  # warm up
    taken = []
    for _ in range(repetitions):
        began = time.perf_counter()
        epoch()  # reads its losses at the end, so that it has waited for the device
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _seed(ready: Any, go: Any, found: Any, device: str, precision: str, count: int, repetitions: int) -> None:
    pixels, labels = images(count)
    epoch = ours(pixels.to(device), labels.to(device), precision, teacher=True, device=device)
    epoch()
    ready.release()
    go.wait()
    began = time.perf_counter()
    for _ in range(repetitions):
        epoch()
    found.put(time.perf_counter() - began)


def together(device: str, precision: str, count: int, repetitions: int, seeds: int) -> float:
    """Seconds until so many processes have each finished the same number of epochs of a later task."""
    context = multiprocessing.get_context("spawn")
    ready, go, found = context.Semaphore(0), context.Event(), context.Queue()
    processes = [context.Process(target=_seed, args=(ready, go, found, device, precision, count, repetitions)) for _ in range(seeds)]
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
    """Measure, print, and tell whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--images", type=int, default=NEW_IMAGES, help="new images of a task; 5000 is CIFAR-100's")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the report here, as Markdown")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        sys.stdout.write("there is no CUDA device: nothing was measured\n")
        return 0
    later = chosen.images * (NEW_IMAGES + EXEMPLARS) // NEW_IMAGES
    name = torch.cuda.get_device_name(chosen.device) if chosen.device.startswith("cuda") else "CPU"
    report = Report("gpu", f"iCaRL on CIFAR-100 B0-Inc10 on {name}")
    for precision in PRECISIONS:
        first = epoch_seconds(chosen.device, precision, chosen.images, chosen.repetitions, teacher=False)
        distilled = epoch_seconds(chosen.device, precision, later, chosen.repetitions, teacher=True)
        report.add(f"{precision}: an epoch of the first task", first, "s")
        report.add(f"{precision}: an epoch of a later task", distilled, "s")
        report.add(f"{precision}: the whole run", (FIRST_EPOCHS * first + LATER_TASKS * LATER_EPOCHS * distilled) / 60, "min", at_most=3)
        alone = together(chosen.device, precision, later, chosen.repetitions, 1)
        for seeds in SEEDS:
            gained = seeds * alone / together(chosen.device, precision, later, chosen.repetitions, seeds)
            report.add(f"{precision}: {seeds} seeds at once, images a second together", gained, "×", at_least=3 if seeds == max(SEEDS) else None)
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
