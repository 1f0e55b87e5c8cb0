"""`Summary`: the reported numbers of one run, and `METRICS`: what readers need to know about each number.

Decisions:
    * `METRICS` is the one table of metrics: sorts, table columns, CSV and snapshot columns and API
      descriptions derive from it. A new metric is a field of `Summary`, a row of `METRICS` and a formula in
      `metrics`.
    * Nothing here imports numpy, so that the client can read the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from cil_core.spec.base import Frozen


class Summary(Frozen):
    """The reported numbers of one run under one classifier; fractions, None where a number is undefined."""

    average_accuracy: float = Field(
        description="Average incremental accuracy: mean of A_t over all tasks, the base task included."
    )
    average_accuracy_without_base: float | None = Field(
        description="The same without the base task, as some B50 papers print it; None with one task."
    )
    last_accuracy: float = Field(description="A_B, accuracy over all classes after the last task.")
    forgetting: float | None = Field(
        description="Mean over old tasks of best earlier minus final accuracy; may be negative. "
        "None with one task."
    )
    forgetting_clipped: float | None = Field(
        description="The same with negative terms counted as 0, as PyCIL and mammoth print it."
    )
    backward_transfer: float | None = Field(
        description="BWT: mean over old tasks of final minus first accuracy (GEM)."
    )
    old_accuracy: float | None = Field(description="After the last task, on the classes of earlier tasks.")
    new_accuracy: float = Field(description="After the last task, on its own classes.")
    harmonic_accuracy: float | None = Field(
        description="Harmonic mean of old and new accuracy after the last task; 0 if both are 0."
    )
    average_top5: float = Field(
        description="Mean over tasks of the share of images whose class is among the min(5, seen) best."
    )
    last_top5: float
    performance_drop: float | None = Field(
        default=None,
        description="PD: A_1 minus A_B, as few-shot papers print it. None with one task, and in summaries "
        "of older software.",
    )
    base_accuracy: float | None = Field(
        default=None,
        description="After the last task, on the classes of the first task. None as for performance_drop.",
    )
    novel_accuracy: float | None = Field(
        default=None,
        description="After the last task, on all later classes. None as for performance_drop.",
    )
    base_novel_accuracy: float | None = Field(
        default=None,
        description="Harmonic mean of base and novel accuracy; 0 if both are 0. "
        "None as for performance_drop.",
    )
    curve: tuple[float, ...] = Field(description="A_t for each task.")
    curve_top5: tuple[float, ...]
    curve_new: tuple[float, ...] | None = Field(
        default=None,
        description="a[t, t] for each task: accuracy on its own classes right after it. "
        "None in older summaries, which lack it.",
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that leaderboards report.

    Attributes:
        name: its field in JSON, and its column in files.
        title: its name in sentences and above figures.
        better: which values are better.
        undefined: why a run or an entry may lack it; empty if every run has it.
        heading: its name above a narrow column.
        headline: whether it is shown without a request for it.
        in_summary: whether a run alone determines it. If not, it compares entries of a track.
    """

    name: str
    title: str
    better: Literal["more", "less"] = "more"
    undefined: str = ""
    heading: str = ""
    headline: bool = False
    in_summary: bool = True

    @property
    def column(self) -> str:
        """Its name above a column."""
        return self.heading or self.title


_ONE_TASK = "one task only"
_ONE_TASK_OR_OLD = "one task only, or recorded by older software"

METRICS: tuple[Metric, ...] = (
    Metric("average_accuracy", "Average accuracy", heading="Average acc.", headline=True),
    Metric(
        "average_accuracy_without_base",
        "Average accuracy without the base task",
        undefined=_ONE_TASK,
        heading="Average without base",
    ),
    Metric("last_accuracy", "Last accuracy", heading="Last acc.", headline=True),
    Metric("forgetting", "Forgetting", "less", _ONE_TASK, headline=True),
    Metric("forgetting_clipped", "Forgetting, clipped", "less", _ONE_TASK),
    Metric("backward_transfer", "Backward transfer", undefined=_ONE_TASK),
    Metric("intransigence", "Intransigence", "less", "joint has not run here", in_summary=False),
    Metric("old_accuracy", "Accuracy on old classes", undefined=_ONE_TASK, heading="Old classes"),
    Metric("new_accuracy", "Accuracy on new classes", heading="New classes"),
    Metric("harmonic_accuracy", "Harmonic mean", undefined=_ONE_TASK),
    Metric("performance_drop", "Performance drop", "less", _ONE_TASK_OR_OLD, "Drop"),
    Metric("base_accuracy", "Accuracy on base classes", undefined=_ONE_TASK_OR_OLD, heading="Base classes"),
    Metric(
        "novel_accuracy", "Accuracy on novel classes", undefined=_ONE_TASK_OR_OLD, heading="Novel classes"
    ),
    Metric("base_novel_accuracy", "Harmonic mean of base and novel", undefined=_ONE_TASK_OR_OLD),
    Metric("average_top5", "Average top-5"),
    Metric("last_top5", "Last top-5"),
)
"""Every reported number, in the order of columns."""

METRIC: dict[str, Metric] = {metric.name: metric for metric in METRICS}
"""The same by name."""
