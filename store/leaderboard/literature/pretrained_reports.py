"""Published figures of methods on pre-trained backbones, with the works that print them.

`pretrained_reports.json` lists works and reports, one per line. Decisions:
    * Figures are in per cent, as the source prints them; this service did not measure any of them.
    * A work names its team: the paper and the code of the same authors are two works of one team.
    * Unknown weights are None; nothing can be compared with them.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import Field, model_validator

from cil_core.spec.base import Frozen

Percent = Annotated[float, Field(ge=0, le=100)]
Text = Annotated[str, Field(min_length=1)]

_ROUNDING = 0.0101
"""Points by which a printed figure may differ from its printed curve."""


class Kind(StrEnum):
    """Who ran what a report prints."""

    AUTHOR = "author"
    """The method's own authors."""
    RERUN = "rerun"
    """Other people, who ran the method again."""
    SECOND_HAND = "second-hand"
    """Copied from another source, or likely so."""


class Work(Frozen):
    """A paper or a repository that prints figures."""

    key: Text
    team: Text = Field(description="Its authors; works of one team are not independent.")
    citation: Text
    link: str | None = Field(pattern=r"^https://", description="To the paper, or the code at one commit.")


class Report(Frozen):
    """What a work prints for one method on one benchmark; accuracies in per cent."""

    id: int
    method: Text = Field(description="As the work names it.")
    dataset: Text
    protocol: Text
    weights: Text | None = Field(description="Of the backbone; None if not stated.")
    exemplars: Text
    average: Percent | None = Field(description="Average incremental accuracy; None if not printed.")
    last: Percent = Field(description="Accuracy after the last task, by the work's own definition.")
    kind: Kind
    work: Text = Field(description="Key of the work that prints it.")
    place: str = Field(description="Table or file within the work.")
    order: str | None = Field(description="Seed or name of the class order; None if not stated.")
    seeds: int | None = Field(default=None, ge=1, description="Runs behind a mean; None if not stated.")
    average_deviation: float | None = Field(default=None, ge=0)
    last_deviation: float | None = Field(default=None, ge=0)
    curve: tuple[Percent, ...] | None = Field(default=None, description="Accuracy after each task.")
    note: str = ""

    @model_validator(mode="after")
    def _agrees_with_its_curve(self) -> Self:
        if self.curve is None:
            return self
        mean = sum(self.curve) / len(self.curve)
        if self.average is not None and abs(mean - self.average) > _ROUNDING:
            raise ValueError(f"report {self.id}: average {self.average}, but its curve's mean is {mean:.2f}")
        if abs(self.curve[-1] - self.last) > _ROUNDING:
            raise ValueError(f"report {self.id}: last {self.last}, but its curve ends at {self.curve[-1]}")
        return self


class Collection(Frozen):
    """Works and their reports; every report cites a listed work, and ids are unique."""

    works: tuple[Work, ...]
    reports: tuple[Report, ...]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        keys = [work.key for work in self.works]
        ids = [report.id for report in self.reports]
        if len(set(keys)) < len(keys) or len(set(ids)) < len(ids):
            raise ValueError("two works share a key, or two reports share an id")
        if unknown := {report.work for report in self.reports} - set(keys):
            raise ValueError(f"reports cite works that are not listed: {', '.join(sorted(unknown))}")
        return self


@lru_cache
def pretrained_reports() -> Collection:
    """The collection that ships with this service."""
    text = (files(__package__) / "pretrained_reports.json").read_text(encoding="utf-8")
    return Collection.model_validate_json(text)
