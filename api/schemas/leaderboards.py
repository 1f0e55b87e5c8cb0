"""Tracks and leaderboards as the API answers them."""

from __future__ import annotations

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from cil_core.spec import validation
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import Track
from cil_core.spec.presets import PRESETS
from cil_core.spec.recipes import BY_NAME
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
"""Every classifier some method has."""

SORT_NAMES = tuple(SORTS)


class TrackAnswer(BaseModel):
    """A track, and how much stands on it."""

    slug: str = Field(examples=["digits-b0-inc2-m50-convnet"])
    title: str | None = Field(
        description="As papers write it, for tracks that papers report or that this project proposes."
    )
    source: str | None = Field(description="Who reports on it.")
    for_tuning: bool = Field(
        description="It holds out training images to test on, so nothing is ranked on it."
    )
    spec: Track
    entries: int
    runs: int = Field(description="Finished runs its entries count.")


class Tracks(BaseModel):
    """Every track somebody has submitted to, and the presets that nobody has."""

    items: list[TrackAnswer]
    next_cursor: str | None = None


class Orders(BaseModel):
    """Recipes over class orders."""

    items: list[OrderSensitivity]
    next_cursor: str | None = None


class ReportedAnswer(ExternalResult):
    """A reported result beside our entry of the same recipe, if there is one."""

    entry: str | None = Field(
        description="Our entry on this track of the recipe that `preset` names; None if there is none."
    )
    gap: float | None = Field(
        description="Its average incremental accuracy under `classifier` minus the reported one."
    )


class Leaderboard(BaseModel):
    """The entries of a track, best first; upper bounds stand among them without a rank."""

    track: Track
    slug: str
    sort: str
    classifier: str | None = Field(description="None: each method under the classifier it is ranked by.")
    items: list[Entry]
    reported: list[ReportedAnswer] = Field(
        description="What papers and users report on this track, with source and caveats; never ranked with the entries."
    )
    next_cursor: str | None = None


def beside_reported(session: Session, slug: str) -> list[ReportedAnswer]:
    """Results that papers and users report on a track, the best average first, each with the gap to our entry."""
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
    return ExternalResult(
        track_slug=row.track_slug, title=row.title, method=row.method, citation=None, source=row.citation, link=row.link, id=row.id, user=row.user.name,
        average_accuracy=row.average_accuracy, last_accuracy=row.last_accuracy, forgetting=row.forgetting, curve=tuple(row.curve),
        caveat="Reported by a user of this service; nobody has checked it." if row.seeds is None else
        f"Reported by a user of this service, as a mean over {row.seeds} runs; nobody has checked it.", note=row.note or "",
    )  # fmt: skip


def track_answer(status: TrackStatus) -> TrackAnswer:
    """A track somebody has submitted to."""
    return untouched(status.track.slug, Track.model_validate(status.track.spec)).model_copy(
        update={"entries": status.entries, "runs": status.runs}
    )


def untouched(slug: str, track: Track) -> TrackAnswer:
    """A track nobody has submitted to."""
    preset = PRESETS.get(slug)
    title, source = (preset.title, preset.source) if preset else (None, None)
    return TrackAnswer(
        slug=slug, title=title, source=source, for_tuning=bool(track.holdout), spec=track, entries=0, runs=0
    )


def every_track(session: Session) -> list[TrackAnswer]:
    """The tracks that were submitted to, by slug, then the other presets."""
    used = [track_answer(status) for status in list_tracks(session)]
    known = {track.slug for track in used}
    return used + [untouched(slug, preset.track) for slug, preset in PRESETS.items() if slug not in known]


def track_named(session: Session, slug: str) -> Track:
    """The track a slug names: one that was submitted to, or one that could be.

    Raises:
        NotFound: neither.
    """
    try:
        return Track.model_validate(get_track(session, slug).spec)
    except NotFound as nobody:
        try:
            track = Track.from_slug(slug)
            validation.check_track(track, dataset_cards(session))
        except (ValueError, InvalidSpec):
            raise nobody from None
        if track.slug != slug:
            raise NotFound(
                f"nobody has submitted to a track {slug!r} yet; did you mean {track.slug!r}?"
            ) from nobody
        return track
