"""Path and query parameters, shared by JSON routes and pages.

Decision: the query of a route is one model. Unknown parameters are refused, so a misspelt filter cannot pass
unnoticed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from annotated_types import Ge, Lt
from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.exports import WRITERS
from api.schemas.leaderboards import CLASSIFIERS, SORT_NAMES
from store.database.states import JobState
from store.queries.jobs import MAX_PAGE, JobFilter

JobId = Annotated[
    str,
    Path(
        pattern=r"^job_[0-9a-z]{26}$", description="A job's id.", examples=["job_01k9x3v8h2m4n6p8q0r2s4t6v8"]
    ),
]
RunId = Annotated[
    str,
    Path(
        pattern=r"^run_[0-9a-z]{26}$", description="A run's id.", examples=["run_01k9x3v8h2m4n6p8q0r2s4t6v8"]
    ),
]

Instant = Annotated[AwareDatetime, Ge(datetime(1970, 1, 1, tzinfo=UTC)), Lt(datetime(3000, 1, 1, tzinfo=UTC))]
"""A moment with a time zone; the bounds keep the conversion to UTC from overflowing."""

FORMATS = ("json", *WRITERS)
"""Formats of a leaderboard."""


def one_of(*allowed: str) -> AfterValidator:
    """For `Annotated`: accepts these values and None; the error lists them."""

    def check(given: str | None) -> str | None:
        if given is not None and given not in allowed:
            raise ValueError(f"{given[:80]!r} is not allowed; allowed: {', '.join(allowed)}")
        return given

    return AfterValidator(check)


Sort = Annotated[
    str,
    one_of(*SORT_NAMES),
    Query(
        description="Metric that ranks the entries, best first.", json_schema_extra={"enum": list(SORT_NAMES)}
    ),
]
Classifier = Annotated[
    str | None,
    one_of(*CLASSIFIERS),
    Query(
        description="Classifier whose accuracies are shown; by default each method's ranking classifier.",
        json_schema_extra={"enum": list(CLASSIFIERS)},
    ),
]
ExemplarFree = Annotated[bool, Query(description="Only entries without exemplars.")]
BestPerMethod = Annotated[bool, Query(description="Only the first entry of each method.")]

Entries = Annotated[
    list[str],
    Query(description="Ids of 2 to 8 entries of one track, as the leaderboard lists them.", max_length=100),
]
Baseline = Annotated[
    str | None,
    Query(description="Id of the entry to compare the others with; by default the first one."),
]
Slugs = Annotated[list[str], Query(description="Slugs of two or more tracks.", max_length=100)]


class Parameters(BaseModel):
    """The query parameters of a route."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageParameters(Parameters):
    """Which page of a list."""

    cursor: str | None = Field(
        default=None, max_length=1000, description="`next_cursor` of the previous page."
    )
    limit: int = Field(default=50, ge=1, le=MAX_PAGE, description="Items per page.")


class JobsParameters(PageParameters):
    """Which jobs."""

    state: JobState | None = Field(default=None, description="Only jobs in this state.")
    method: str | None = Field(default=None, max_length=40, description="Only jobs of this method.")
    track: str | None = Field(default=None, max_length=200, description="Only jobs on this track.")
    user: str | None = Field(default=None, max_length=40, description="Only jobs of the user with this id.")
    created_after: Instant | None = Field(
        default=None, description="Only jobs created after this moment, e.g. 2026-01-31T12:00:00Z."
    )

    @property
    def filters(self) -> JobFilter:
        """As the store takes them."""
        return JobFilter(**self.model_dump(exclude={"cursor", "limit"}))


class ResultsParameters(PageParameters):
    """Which reported results."""

    track: str | None = Field(default=None, max_length=200, description="Only results on this track.")


class SubmissionParameters(Parameters):
    """How to submit a job."""

    force: bool = Field(default=False, description="Execute runs even if their results exist.")


class LeaderboardParameters(Parameters):
    """Which entries of a leaderboard, in which order."""

    sort: Sort = "average_accuracy"
    classifier: Classifier = None
    exemplar_free: ExemplarFree = False
    best_per_method: BestPerMethod = False


class LeaderboardFileParameters(LeaderboardParameters):
    """A leaderboard in one of several formats."""

    format: Annotated[
        str,
        one_of(*FORMATS),
        Query(description="Format of the response.", json_schema_extra={"enum": list(FORMATS)}),
    ] = "json"


class ComparisonParameters(Parameters):
    """Which entries to compare."""

    entry: Entries
    baseline: Baseline = None
    classifier: Classifier = None


class LiteratureParameters(Parameters):
    """Which reports of the literature."""

    method: str | None = Field(
        default=None, max_length=80, description="Only this method, as sources name it."
    )
    dataset: str | None = Field(default=None, max_length=80, description="Only this dataset.")
    second_hand: bool = Field(
        default=False, description="List second-hand reports within their cells; they never count."
    )


class TracksParameters(Parameters):
    """Which tracks to compare methods on."""

    track: Slugs
