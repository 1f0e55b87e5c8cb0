"""Recipe of AFC, which distils the channels that matter."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import Citation, Recipe
from cil_core.spec.recipes.cosine import POD, SMALL_COSINE
from cil_core.spec.schedule import Schedule


class AFCRecipe(Recipe):
    """Adaptive Feature Consolidation: PODNet with a weight per channel."""

    title = "AFC"
    family = "rectification"
    summary = (
        "Distils every channel of all stages in proportion to how much it changes the loss, classifies with "
        "several cosine proxies per class, and fine-tunes on a balanced set."
    )
    classifiers = ("linear", "nme")
    uses_memory = True
    signed_features = True
    citation: ClassVar[Citation | None] = Citation(
        key="kang2022afc",
        title="Class-Incremental Learning by Knowledge Distillation with Adaptive Feature Consolidation",
        authors="Kang, Minsoo and Park, Jaeyoo and Han, Bohyung",
        venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2022,
        arxiv="2204.00895",
    )
    differs = (
        "The backbone's own stages are distilled; the official network has a fourth block. Importances are "
        "measured in evaluation mode on images without augmentation, so that batch-norm statistics do not "
        "move; a stage whose gradients are all 0 counts evenly. The margin of the NCA loss has no effect, "
        "as in the official code; in preset `margin` it acts. Exemplars are chosen by greedy herding; class "
        "orders are the track's, not the official three."
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "margin": {"nca": "as_stated"},
        "small": {
            "first_task": SMALL_COSINE,
            "later_tasks": SMALL_COSINE,
            "balanced": Schedule(epochs=10, batch_size=32, lr=0.05, curve="constant", weight_decay=5e-4),
        },
    }

    name: Literal["afc"] = "afc"
    first_task: Schedule = Field(default=POD, description="Schedule of the first task (official code).")
    later_tasks: Schedule = Field(default=POD, description="Schedule of every later task (official code).")
    balanced: Schedule = Field(
        default=Schedule(epochs=20, lr=0.05, curve="constant", weight_decay=5e-4),
        description="Schedule of the classifier's fine-tuning on a class-balanced set (official code).",
    )
    feature_weight: float = Field(
        default=4.0,
        ge=0,
        le=1000,
        description="Weight of the distillation, times √(n / k) (official code).",
    )
    nca: Literal["as_coded", "as_stated"] = Field(
        default="as_coded",
        description="NCA as the official code computes it, where the margin has no effect, or with the "
        "margin on the right class (PODNet's paper).",
    )
    margin: float = Field(default=0.6, ge=0, le=2, description="δ of the NCA loss (official code).")
    proxies: int = Field(default=10, ge=1, le=1000, description="P, proxies per class (official code).")
    clip_gradient: float | None = Field(
        default=5.0,
        gt=0,
        le=1e6,
        description="Largest absolute value of a gradient's entry; null for none (official code).",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:  # noqa: ARG002 — the same on every dataset
        """Require stages to distil."""
        if not backbone.stages:
            raise self.refuse(
                f"it distils the stages of a backbone; {backbone.name} has none", "track", "backbone"
            )
