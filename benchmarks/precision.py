"""Does bfloat16 change a leaderboard? The same recipes and seeds in both, compared as entries are.

Always on digits; with `--images PATH` also on a subset of 32 × 32 images in `PATH/train/<class>/…` and
`PATH/test/<class>/…`.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.methods import our_accuracy
from benchmarks.report import Report, options
from cil_core.data.folder import Preparation, register
from cil_core.spec.jobs import RunSpec, Track
from cil_core.spec.schedule import Schedule
from store.leaderboard.significance import PairedTest, corrected, paired

PRECISIONS = ("fp32", "bf16")
IMAGES = "sample"
TRAIN, TEST = 60, 50
"""Images of a class that are taken."""

FEW_EPOCHS = Schedule(epochs=10, batch_size=32, lr=0.05, milestones=(7, 9), weight_decay=5e-4).model_dump()


@dataclass(frozen=True, slots=True)
class Study:
    """Recipes on one track, over several seeds."""

    title: str
    track: str
    recipe: Mapping[str, Any]
    methods: tuple[str, ...]
    seeds: int


DIGITS = Study(
    "digits, convnet",
    "digits-b0-inc2-m50-convnet",
    {"preset": "small"},
    ("finetune", "lwf", "icarl", "bic", "wa", "coil", "podnet", "der"),
    10,
)
PHOTOGRAPHS = Study(
    f"{TRAIN} images a class, resnet20",
    f"folder:{IMAGES}-b0-inc2-m200-resnet20",
    {"first_task": FEW_EPOCHS, "later_tasks": FEW_EPOCHS},
    ("lwf", "icarl", "wa", "der"),
    5,
)


def accuracy(asked: tuple[dict[str, Any], Path]) -> float:
    """Average incremental accuracy of one run, in a process of its own with one thread."""
    torch.set_num_threads(1)
    return our_accuracy(RunSpec.model_validate(asked[0]), asked[1])


def take(images: Path, data_root: Path) -> None:
    """Register the first images of each class."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="") as listing:
        rows = csv.writer(listing)
        rows.writerow(("path", "class", "split"))
        for split, count in (("train", TRAIN), ("test", TEST)):
            for directory in sorted((images / split).iterdir()):
                rows.writerows(
                    (file.relative_to(images), directory.name, split)
                    for file in sorted(directory.iterdir())[:count]
                )
        listing.flush()
        register(
            IMAGES,
            images,
            data_root,
            Preparation(size=32, augment=("crop:4", "flip")),
            split_file=Path(listing.name),
        )


def compare(report: Report, study: Study, data_root: Path) -> None:
    """bfloat16 minus float32 of every method, paired by seed."""
    fp32, seeds = Track.from_slug(study.track), range(1, study.seeds + 1)
    tracks = {precision: fp32.model_copy(update={"precision": precision}).slug for precision in PRECISIONS}
    asked = [
        ({"method": {"name": method, **study.recipe}, "track": tracks[precision], "seed": seed}, data_root)
        for method in study.methods
        for precision in PRECISIONS
        for seed in seeds
    ]
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        found = iter(pool.map(accuracy, asked, chunksize=1))
    tests: list[PairedTest] = []
    for method in study.methods:
        full, half = ([100 * next(found) for _ in seeds] for _ in PRECISIONS)
        tests.append(paired(seeds, half, full))
        report.add(f"{study.title}, {method}: fp32", statistics.mean(full), "%")
        report.add(f"{study.title}, {method}: bf16", statistics.mean(half), "%")
        report.add(
            f"{study.title}, {method}: standard deviation over seeds, fp32", statistics.stdev(full), "points"
        )
    report.notes.append(
        f"{study.title}: bf16 minus fp32 over {len(seeds)} seeds, in points, "
        "with the 95 % interval of paired differences."
    )
    for method, test in zip(study.methods, corrected(tests), strict=True):
        assert test.mean is not None
        assert test.interval is not None
        low, high = test.interval
        verdict = (
            "not significantly different"
            if low <= 0 <= high
            else f"significant on its own; p = {test.t_p_holm or 0:.2f} after Holm's correction"
        )
        report.notes.append(f"* {method}: {test.mean:+.2f} [{low:+.2f}, {high:+.2f}]: {verdict}.")


def main() -> int:
    """Measure and print; this benchmark has no target."""
    chosen = options(
        __doc__ or "", images={"type": Path, "help": "a directory of images; digits only if omitted"}
    )
    report = Report("precision", "bfloat16 beside float32: average incremental accuracy")
    with tempfile.TemporaryDirectory(prefix="cil-bench-") as folder:
        data_root = Path(folder)
        if chosen.images:
            take(chosen.images, data_root)
        for study in (DIGITS, PHOTOGRAPHS) if chosen.images else (DIGITS,):
            compare(
                report,
                replace(study, methods=study.methods[:3], seeds=3) if chosen.quick else study,
                data_root,
            )
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
