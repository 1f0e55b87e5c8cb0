"""Bodies about results that users report."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from cil_core.spec.base import PRINTABLE, Submitted
from cil_core.spec.jobs import Track
from cil_core.spec.recipes import BY_NAME
from store.database.models import ReportedResult
from store.leaderboard.reported import NewReportedResult

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or any(character.isspace() for character in text)
    ):
        raise ValueError(f"{text[:80]!r} is not an http or https address")
    return text


class ResultRequest(Submitted):
    """A report for one method on one track. Accuracies are fractions: 64.4 % is 0.644."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "track": "digits-b0-inc2-m50-convnet",
                    "title": "iCaRL",
                    "method": "icarl",
                    "citation": "Rebuffi et al., iCaRL, CVPR 2017; our own run of the authors' code",
                    "link": "https://example.org/code",
                    "seeds": 3,
                    "curve": [0.997, 0.981, 0.963, 0.947, 0.941],
                }
            ]
        },
    )

    track: Track = Field(description="A slug or a track object.")
    title: Annotated[str, Field(min_length=1, max_length=80), PRINTABLE] = Field(
        description="The method's name in its paper."
    )
    citation: Annotated[str, Field(min_length=1, max_length=500), PRINTABLE] = Field(
        description="The source of the numbers, or how they were computed."
    )
    method: str | None = Field(
        default=None,
        max_length=40,
        description="The same method in this service.",
    )
    link: Annotated[str, Field(max_length=500), AfterValidator(_web_address)] | None = Field(
        default=None, description="Address of code or paper, http or https."
    )
    note: Annotated[str, Field(max_length=500), PRINTABLE] | None = Field(
        default=None, description="Caveats for readers."
    )
    seeds: int | None = Field(default=None, ge=1, le=10_000, description="Number of runs averaged.")
    curve: list[Fraction] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Accuracy over all seen classes, per task.",
    )
    matrix: list[list[Fraction]] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Row t: accuracy on each seen task after task t. It determines the curve.",
    )
    average_accuracy: Fraction | None = Field(
        default=None, description="As reported; must match the curve within 0.001."
    )
    last_accuracy: Fraction | None = Field(
        default=None, description="As reported; must match the curve within 0.001."
    )
    forgetting: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="As reported; must match the matrix."
    )

    @field_validator("track", mode="before")
    @classmethod
    def _track_by_slug(cls, value: Any) -> Any:
        return Track.from_slug(value) if isinstance(value, str) else value

    @field_validator("method")
    @classmethod
    def _method_is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in BY_NAME:
            raise ValueError(
                f"unknown method {name!r}; known: {', '.join(BY_NAME)}; "
                "omit it for a method that this service does not have"
            )
        return name

    def report(self) -> NewReportedResult:
        """The report for the store."""
        return NewReportedResult(**{name: getattr(self, name) for name in NewReportedResult.__slots__})


class ResultAnswer(BaseModel):
    """A reported result."""

    id: str = Field(examples=["res_01k9x3v8h2m4n6p8q0r2s4t6v8"])
    trust: str = Field(default="reported", description="Always `reported`: not computed by this service.")
    track: str
    title: str
    method: str | None
    citation: str
    link: str | None
    note: str | None
    seeds: int | None
    curve: list[float]
    matrix: list[list[float]] | None
    average_accuracy: float
    last_accuracy: float
    forgetting: float | None
    user: str = Field(description="Name of the reporter.")
    created_at: datetime


class Results(BaseModel):
    """A page of reported results, the newest first."""

    items: list[ResultAnswer]
    next_cursor: str | None


def result_answer(row: ReportedResult) -> ResultAnswer:
    """The body for a reported result with its `user` loaded."""
    return ResultAnswer(
        id=row.id,
        track=row.track_slug,
        title=row.title,
        method=row.method,
        citation=row.citation,
        link=row.link,
        note=row.note,
        seeds=row.seeds,
        curve=row.curve,
        matrix=row.matrix,
        average_accuracy=row.average_accuracy,
        last_accuracy=row.last_accuracy,
        forgetting=row.forgetting,
        user=row.user.name,
        created_at=row.created_at,
    )
