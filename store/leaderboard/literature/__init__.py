"""Published results on tracks of this project, shown with their source and never ranked.

`cil_survey.json` has the figures of one survey as transcribed: curves, stated averages, forgetting, and the
rows
where the mean of a curve and the stated average disagree.

Decisions:
    * A stated average takes precedence over the mean of the transcribed curve; where they differ, a note says
      so.
    * A row names the preset of the method that does what its source ran, and the classifier of its figures.
      Only
      an entry of that recipe, under that classifier, is compared with the row (`comparable`).
    * Methods that this service lacks are shown too.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.recipes.base import Citation
from cil_core.spec.suites import SURVEYED, SURVEYED_HALF_BASE
from store.leaderboard.literature.exemplar_free import exemplar_free_results
from store.leaderboard.literature.external_result import ExternalResult

__all__ = ["CAVEAT", "SURVEY", "ExternalResult", "published_results"]

SURVEY = Citation(
    key="zhou2024survey",
    title="Class-Incremental Learning: A Survey",
    authors="Zhou, Da-Wei and Wang, Qi-Wei and Qi, Zhi-Hong and Ye, Han-Jia and Zhan, De-Chuan and Liu, "
    "Ziwei",
    venue="IEEE Transactions on Pattern Analysis and Machine Intelligence (TPAMI)",
    year=2024,
    arxiv="2302.03648",
)
CAVEAT = (
    "One class order (seed 1993), 2000 exemplars in total; most methods start from one shared first-task "
    "checkpoint."
    " Transcribed by hand from an OCR text of the paper's tables."
)
_ELSEWHERE = {
    "L2P": "a vision transformer pre-trained on a large dataset",
    "DyTox": "a transformer of its own",
}
"""Methods whose figures come from another network than the track's."""

_NOTES = {
    "FOSTER": "The figure is the boosted network's, before compression.",
    "iCaRL": "The figure fits the curve of the nearest mean of exemplars.",
}
_CLASSIFIERS = {"foster": "boosted", "icarl": "nme"}
"""By method, the classifier of the survey's figures; all others are the network's own, `linear`."""

_BACKBONES = {"cifar100": "resnet32", "imagenet100": "resnet18_imagenet"}
_OURS = {
    "DER": "der-wa",
    "Coil": "coil",
    **{recipe.title: name for name, recipe in BY_NAME.items() if name in SURVEYED and name != "der-wa"},
}
"""Titles of methods with a preset for the survey's runs; its DER is the common re-implementation, without
pruning and with weight aligning. Its rows on other backbones, such as L2P, are none of our methods."""


@lru_cache
def published_results(track_slug: str) -> tuple[ExternalResult, ...]:
    """The published results on a track, the best average first."""
    rows = [row for row in (*_survey(), *exemplar_free_results()) if row.track_slug == track_slug]
    return tuple(sorted(rows, key=lambda row: (-row.average_accuracy, row.title)))


@lru_cache
def _survey() -> tuple[ExternalResult, ...]:
    table = json.loads((files(__package__) / "cil_survey.json").read_text(encoding="utf-8"))
    settings = {
        **dict.fromkeys(table["curves"]),
        **{f"{data}_{split}": None for data in table["avg_last"] for split in _splits(table, data)},
    }
    return tuple(_row(table, setting, title) for setting in settings for title in _titles(table, setting))


def _splits(table: dict[str, Any], data: str) -> list[str]:
    return sorted({split for methods in table["avg_last"][data].values() for split in methods})


def _titles(table: dict[str, Any], setting: str) -> list[str]:
    data, _, split = setting.partition("_")
    stated = [title for title, splits in table["avg_last"].get(data, {}).items() if split in splits]
    return list(dict.fromkeys([*table["curves"].get(setting, {}), *stated]))


def _row(table: dict[str, Any], setting: str, title: str) -> ExternalResult:
    data, _, split = setting.partition("_")
    curve: list[float] = table["curves"].get(setting, {}).get(title, [])
    stated = table["avg_last"].get(data, {}).get(title, {}).get(split)
    forgetting = table["forgetting_intransigence"].get(data, {}).get(title, {}).get(split)
    differs = [row for row in table["curve_mean_vs_stated_mismatch"] if row[:2] == [setting, title]]
    average = stated["avg"] if stated else sum(curve) / len(curve)
    last = stated["last"] if stated else curve[-1]
    slug, method = _slug(data, split), _OURS.get(title)
    return ExternalResult(
        track_slug=slug,
        title=title,
        method=method,
        preset=_preset(method, slug) if method else None,
        classifier=_CLASSIFIERS.get(method, "linear") if method else None,
        citation=SURVEY,
        source=f"{SURVEY.title} ({SURVEY.venue}, {SURVEY.year}; arXiv {SURVEY.arxiv}), appendix",
        average_accuracy=round(average / 100, 6),
        last_accuracy=round(last / 100, 6),
        forgetting=forgetting["forgetting"] if forgetting else None,
        curve=tuple(round(value / 100, 6) for value in curve) if curve else None,
        caveat=CAVEAT,
        note=" ".join(_notes(title, differs)),
    )


def _preset(method: str, slug: str) -> str:
    protocol = Track.from_slug(slug).protocol
    half_base = SURVEYED_HALF_BASE if protocol.first > protocol.increment else {}
    return half_base.get(method, SURVEYED[method])


def _notes(title: str, differs: list[list[Any]]) -> list[str]:
    elsewhere = [f"Not on the track's backbone but on {_ELSEWHERE[title]}."] if title in _ELSEWHERE else []
    return [*elsewhere, *([_NOTES[title]] if title in _NOTES else []), *map(_mismatch, differs)]


def _mismatch(row: list[Any]) -> str:
    return f"The paper states {row[5]}; the mean of its printed curve is {row[3]}."


def _slug(data: str, split: str) -> str:
    """`B50_Inc10` on CIFAR-100 is `cifar100-b50-inc10-m2000-resnet32`."""
    base, _, increment = split.partition("_")
    return f"{data}-{base.lower()}-{increment.lower()}-m2000-{_BACKBONES[data]}"
