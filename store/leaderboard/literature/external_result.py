"""`ExternalResult`: a figure that this service did not measure, with its source."""

from __future__ import annotations

from pydantic import Field

from cil_core.spec.base import Frozen
from cil_core.spec.recipes import BY_NAME, base
from cil_core.spec.recipes.base import Citation


class ExternalResult(Frozen):
    """What a paper or a user reports for one method on one track; accuracies are fractions."""

    track_slug: str
    title: str = Field(description="The method as the paper names it.")
    method: str | None = Field(description="The method of this service that it is; None if there is none.")
    preset: str | None = Field(
        default=None,
        description="The preset of that method that does what the source ran, `default` for its defaults; "
        "None if the "
        "source's recipe is unknown, so that nothing compares with the row.",
    )
    classifier: str | None = Field(
        default=None, description="The classifier the figures belong to; None if `preset` is."
    )
    citation: Citation | None = Field(
        description="The paper; None for a user's report, whose `source` names its origin."
    )
    source: str
    link: str | None = Field(default=None, description="To code or paper, as a user gave it.")
    id: str | None = Field(default=None, description="Of a result that a user reported.")
    user: str | None = Field(
        default=None, description="Who reported it; None for what ships with this service."
    )
    average_accuracy: float
    last_accuracy: float
    forgetting: float | None
    curve: tuple[float, ...] | None = Field(
        description="After each task; None if the paper prints the average and the end only."
    )
    caveat: str = Field(description="A caveat of the source, for all its rows.")
    note: str = Field(description="A note on this row alone; may be empty.")

    @property
    def recipe(self) -> base.Recipe | None:
        """The recipe whose entries compare with this row; None if it is unknown."""
        if self.method is None or self.preset is None:
            return None
        kind = BY_NAME[self.method]
        return kind.published() if self.preset == "default" else kind.from_preset(self.preset)
