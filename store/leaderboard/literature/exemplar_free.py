"""Published figures of methods without exemplars, shown on the tracks of the suite `exemplar-free-survey`.

Decisions:
    * The figures are those of `pretrained_reports.json`; here each gets its track, method and augmentation.
    * Sources augment differently, so that methods do not compare with each other. A note names the
      augmentation.
    * A row compares with an entry only where the method's default or preset augments as its source does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cil_core.spec.recipes.base import Citation
from store.leaderboard.literature.external_result import ExternalResult
from store.leaderboard.literature.pretrained_reports import Report, pretrained_reports

WORK = "revisit-ssla"
SOURCE = Citation(
    key="revisit_ssla",
    title="Revisiting Self-Supervised Label Augmentation for Exemplar-Free Class-Incremental Learning",
    authors="arimitsu06",
    venue="README of a repository",
    year=2025,
)
CAVEAT = "Second-hand: a table that gathers means over five seeds. No exemplars; ten tasks."


class _Known(NamedTuple):
    """What is known of a row besides its figures."""

    method: str
    augmentation: str
    preset: str | None = None


_AUTOAUGMENT = "Its code trains with AutoAugment."
_KNOWN = {
    "PASS": _Known("pass", "The augmentation of this figure is not stated."),
    "FeTrIL": _Known("fetril", "The augmentation of this figure is not stated."),
    "FeCAM": _Known("fecam", "The augmentation of this figure is not stated."),
    "EFC": _Known("efc", "Its code trains with random resized crops, and turns images in the first task."),
    "ADC": _Known("drift", _AUTOAUGMENT, "adc"),
    "LDC": _Known("drift", _AUTOAUGMENT, "default"),
    "AdaGauss": _Known(
        "adagauss", "Its code trains with TrivialAugment, and turns images in the first task."
    ),
}
_TRACKS = {
    ("CIFAR-100", "B0-Inc10"): "cifar100-b0-inc10-m0-resnet18",
    ("TinyImageNet", "B0-Inc20"): "tiny_imagenet-b0-inc20-m0-resnet18",
}
_SCHEDULED = "cifar100-b0-inc10-m0-resnet18"
"""The track for which default schedules are published."""


@lru_cache
def exemplar_free_results() -> tuple[ExternalResult, ...]:
    """The rows, in the order of their source."""
    return tuple(_row(report) for report in pretrained_reports().reports if report.work == WORK)


def _row(report: Report) -> ExternalResult:
    known, slug = _KNOWN[report.method], _TRACKS[report.dataset, report.protocol]
    preset = known.preset if slug == _SCHEDULED else None
    if report.average is None:
        raise ValueError(f"report {report.id} has no average")
    return ExternalResult(
        track_slug=slug,
        title=report.method,
        method=known.method,
        preset=preset,
        classifier="prototype" if preset else None,
        citation=SOURCE,
        source=f"{SOURCE.title} ({SOURCE.authors}), {report.place}",
        average_accuracy=round(report.average / 100, 6),
        last_accuracy=round(report.last / 100, 6),
        forgetting=None,
        curve=None,
        caveat=CAVEAT,
        note=known.augmentation,
    )
