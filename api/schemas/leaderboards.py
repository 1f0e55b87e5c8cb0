"""Bodies about tracks and leaderboards."""

from __future__ import annotations

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from cil_core.spec import validation
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.presets import PRESETS
from cil_core.spec.recipes import BY_NAME
from cil_core.spec.weights import Overlap
from cil_core.spec.weights_cards import overlap_of
from store.database.errors import NotFound
from store.database.models import ReportedResult
from store.datasets import dataset_cards
from store.leaderboard.class_orders import OrderSensitivity
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import SORTS
from store.leaderboard.literature import ExternalResult, published_results
from store.leaderboard.literature.comparable import comparable
from store.leaderboard.reported import reported_results_on
from store.leaderboard.tracks import TrackStatus, get_track, list_tracks

CLASSIFIERS = tuple(sorted({name for recipe in BY_NAME.values() for name in recipe.classifiers}))
"""The classifiers of all methods."""

SORT_NAMES = tuple(SORTS)


class TrackAnswer(BaseModel):
    """A track with the number of its entries and runs."""

    slug: str = Field(examples=["digits-b0-inc2-m50-convnet"])
    title: str | None = Field(description="Title in papers; None for tracks that are not presets.")
    source: str | None = Field(description="Papers that report on it.")
    for_tuning: bool = Field(description="It tests on held-out training images, so nothing is ranked.")
    overlap: Overlap | None = Field(
        description="What its pre-trained weights have seen of the dataset: images (nothing is ranked), "
        "classes, or unknown; None without weights or without known overlap."
    )
    spec: Track
    entries: int
    runs: int = Field(description="Finished runs of its entries.")


class Tracks(BaseModel):
    """Every track with submissions, and the other presets."""

    items: list[TrackAnswer]
    next_cursor: str | None = None


class Orders(BaseModel):
    """Recipes over class orders."""

    items: list[OrderSensitivity]
    next_cursor: str | None = None


class ReportedAnswer(ExternalResult):
    """A reported result, with this service's entry of the same recipe."""

    entry: str | None = Field(
        description="This service's entry on this track with the recipe of `preset`; None without one."
    )
    gap: float | None = Field(
        description="Its average incremental accuracy under `classifier` minus the reported one."
    )


class Leaderboard(BaseModel):
    """The entries of a track, best first; upper bounds have no rank."""

    track: Track
    slug: str
    sort: str
    classifier: str | None = Field(description="None: each method's ranking classifier.")
    items: list[Entry]
    reported: list[ReportedAnswer] = Field(
        description="Results of papers and users, with source and caveats; never ranked with the entries."
    )
    next_cursor: str | None = None


def beside_reported(session: Session, slug: str) -> list[ReportedAnswer]:
    """Results reported on a track, best average first, with the gap to this service's entry."""
    rows = sorted(
        [*published_results(slug), *map(_by_a_user, reported_results_on(session, slug))],
        key=lambda row: (-row.average_accuracy, row.title),
    )
    answers = []
    for row, ours in zip(rows, comparable(session, slug, rows), strict=True):
        gap = ours.metrics["average_accuracy"].mean - row.average_accuracy if ours else None
        answers.append(ReportedAnswer(**row.model_dump(), entry=ours.id if ours else None, gap=gap))
    return answers


def _by_a_user(row: ReportedResult) -> ExternalResult:
    mean = "" if row.seeds is None else f" as a mean over {row.seeds} runs"
    return ExternalResult(
        track_slug=row.track_slug,
        title=row.title,
        method=row.method,
        citation=None,
        source=row.citation,
        link=row.link,
        id=row.id,
        user=row.user.name,
        average_accuracy=row.average_accuracy,
        last_accuracy=row.last_accuracy,
        forgetting=row.forgetting,
        curve=tuple(row.curve),
        caveat=f"Reported by a user of this service{mean}; not verified.",
        note=row.note or "",
    )


def track_answer(status: TrackStatus) -> TrackAnswer:
    """The body for a track with submissions."""
    return untouched(status.track.slug, Track.model_validate(status.track.spec)).model_copy(
        update={"entries": status.entries, "runs": status.runs}
    )


def untouched(slug: str, track: Track) -> TrackAnswer:
    """The body for a track without submissions."""
    preset = PRESETS.get(slug)
    title, source = (preset.title, preset.source) if preset else (None, None)
    return TrackAnswer(
        slug=slug,
        title=title,
        source=source,
        for_tuning=bool(track.holdout),
        overlap=overlap_of(track.weights_key, track.dataset),
        spec=track,
        entries=0,
        runs=0,
    )


def every_track(session: Session) -> list[TrackAnswer]:
    """The tracks with submissions, by slug, then the other presets."""
    used = [track_answer(status) for status in list_tracks(session)]
    known = {track.slug for track in used}
    return used + [untouched(slug, preset.track) for slug, preset in PRESETS.items() if slug not in known]


def track_named(session: Session, slug: str) -> Track:
    """The track of a slug, with or without submissions.

    Raises:
        NotFound: neither.
    """
    try:
        return Track.model_validate(get_track(session, slug).spec)
    except NotFound as unknown:
        try:
            track = Track.from_slug(slug)
            validation.check_track(track, dataset_cards(session))
        except (ValueError, InvalidSpec):
            raise unknown from None
        if track.slug != slug:
            raise NotFound(f"no track {slug!r} has submissions; did you mean {track.slug!r}?") from unknown
        return track
