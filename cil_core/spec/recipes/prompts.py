"""Recipes of the methods that prompt a frozen, pre-trained transformer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from cil_core.spec.catalog import BackboneCard, DatasetCard
from cil_core.spec.recipes.base import Citation
from cil_core.spec.recipes.tuned import SitedRecipe
from cil_core.spec.schedule import Schedule


def _adam(epochs: int, batch_size: int, lr: float, **fields: Any) -> Schedule:
    return Schedule.model_validate(
        {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": "adam",
            "lr": lr,
            "weight_decay": 0.0,
            "curve": "constant",
            **fields,
        }
    )


def _both(schedule: Schedule) -> dict[str, Schedule]:
    return {"first_task": schedule, "later_tasks": schedule}


CODA = _adam(20, 128, 1e-3, curve="quarter_cosine")
"""CODA-Prompt on CIFAR-100 (official code, LAMDA-PILOT)."""

DUAL = _adam(5, 24, 1e-3)
"""DualPrompt on CIFAR-100 (LAMDA-PILOT)."""

L2P = _adam(5, 16, 1.875e-3)
"""L2P on CIFAR-100 (LAMDA-PILOT): 0.03 · 16 / 256."""

SMALL_PROMPTS = _adam(10, 32, 1e-2)
"""For datasets of a few thousand small images, such as digits."""


class PromptRecipe(SitedRecipe):
    """What recipes of prompts share."""

    family = "tuning"

    first_task: Schedule = Field(default=CODA, description="Schedule of the first task.")
    later_tasks: Schedule = Field(default=CODA, description="Schedule of every later task.")

    @property
    def prompted_blocks(self) -> int:
        """Blocks that receive prompts, counted from the first."""
        return 1

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:
        """Require a vision transformer with enough blocks."""
        super().check_track(dataset, backbone)
        if self.prompted_blocks > backbone.sites:
            raise self.refuse(
                f"it prompts {self.prompted_blocks} blocks, and {backbone.name} has {backbone.sites}",
                "method",
            )


class CODAPromptRecipe(PromptRecipe):
    """Attention over prompt components."""

    title = "CODA-Prompt"
    summary = (
        "Prompts a frozen transformer by sums of learnt components, weighted by attention between image and "
        "keys."
    )
    citation: ClassVar[Citation | None] = Citation(
        key="smith2023coda",
        title="CODA-Prompt: COntinual Decomposed Attention-based Prompting for Rehearsal-Free Continual "
        "Learning",
        authors="Smith, James Seale and Karlinsky, Leonid and Gutta, Vyshnavi and Cascante-Bonilla, Paola "
        "and Kim, Donghyun and Arbelle, Assaf and Panda, Rameswar and Feris, Rogerio and Kira, Zsolt",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2023,
        arxiv="2211.13218",
    )
    differs = (
        "New components are orthogonal to the span of all earlier ones; the official code subtracts "
        "projections on single rows, which is exact in the first task only. The last, smaller batch of an "
        "epoch trains; the official code drops it. The orthogonality penalty has weight 0 in the official "
        "configurations and is left out."
    )
    presets = {
        "imagenetr": _both(CODA.rescaled(50)),
        "small": {**_both(SMALL_PROMPTS), "components": 20, "blocks": 3},
    }

    name: Literal["coda-prompt"] = "coda-prompt"
    first_task: Schedule = Field(default=CODA, description="Schedule of the first task (official code).")
    later_tasks: Schedule = Field(default=CODA, description="Schedule of later tasks (official code).")
    components: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Components per block, shared evenly by all tasks (official code).",
    )
    length: int = Field(
        default=8,
        ge=2,
        le=256,
        multiple_of=2,
        description="Tokens of a prompt, half of them keys and half values (official code).",
    )
    blocks: int = Field(
        default=5, ge=1, le=64, description="Blocks that are prompted, the first ones (official code)."
    )

    @property
    def prompted_blocks(self) -> int:
        """The recipe's `blocks`."""
        return self.blocks

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:
        """Require as many dimensions as components, which are orthogonal."""
        super().check_track(dataset, backbone)
        if self.components > backbone.feature_dim:
            raise self.refuse(
                f"{self.components} orthogonal components need as many dimensions, and {backbone.name} has "
                f"{backbone.feature_dim}",
                "method",
                "components",
            )

    def check_tasks(self, tasks: int) -> None:
        """Require at least one component per task."""
        if tasks > self.components:
            raise self.refuse(
                f"{tasks} tasks cannot share {self.components} components; each needs one",
                "method",
                "components",
            )


class DualPromptRecipe(PromptRecipe):
    """General and expert prompts."""

    title = "DualPrompt"
    summary = "Prompts a frozen transformer by a general prefix and by one expert prefix per task."
    citation: ClassVar[Citation | None] = Citation(
        key="wang2022dualprompt",
        title="DualPrompt: Complementary Prompting for Rehearsal-free Continual Learning",
        authors="Wang, Zifeng and Zhang, Zizhao and Ebrahimi, Sayna and Sun, Ruoxi and Zhang, Han "
        "and Lee, Chen-Yu and Ren, Xiaoqi and Su, Guolong and Perot, Vincent and Dy, Jennifer "
        "and Pfister, Tomas",
        venue="European Conference on Computer Vision (ECCV)",
        year=2022,
        arxiv="2204.04799",
    )
    differs = (
        "Keys and values of every sample's prefix are its own; the PyTorch ports mix them among samples. "
        "Each test image chooses its expert alone, among the experts of seen tasks; the ports take the "
        "batch's most frequent choice among all. Every task has an expert, also the eleventh."
    )
    presets = {
        "imagenetr": _both(DUAL.rescaled(10)),
        "official": {**_both(_adam(5, 24, 0.03 * 24 / 256, clip_norm=1.0)), "pull": 1.0},
        "official-imagenetr": {
            **_both(_adam(50, 24, 0.005 * 24 / 256, clip_norm=1.0)),
            "pull": 1.0,
            "expert_length": 20,
        },
        "small": {**_both(SMALL_PROMPTS), "general_blocks": 1, "expert_blocks": 2},
    }

    name: Literal["dualprompt"] = "dualprompt"
    first_task: Schedule = Field(default=DUAL, description="Schedule of the first task (LAMDA-PILOT).")
    later_tasks: Schedule = Field(default=DUAL, description="Schedule of later tasks (LAMDA-PILOT).")
    general_blocks: int = Field(
        default=2, ge=1, le=64, description="Blocks with the general prompt, the first ones (paper)."
    )
    expert_blocks: int = Field(
        default=3, ge=1, le=64, description="Blocks with an expert's prompt, the next ones (paper)."
    )
    general_length: int = Field(default=5, ge=1, le=256, description="Tokens of the general prompt (paper).")
    expert_length: int = Field(
        default=5, ge=1, le=256, description="Tokens of an expert's prompt (LAMDA-PILOT; paper: 20)."
    )
    pull: float = Field(
        default=0.1,
        ge=0,
        le=100,
        description="Weight of the similarity between queries and the task's key (LAMDA-PILOT; official: 1).",
    )

    @property
    def prompted_blocks(self) -> int:
        """Those with either prompt."""
        return self.general_blocks + self.expert_blocks


class L2PRecipe(PromptRecipe):
    """Learning to prompt."""

    title = "L2P"
    summary = "Prompts a frozen transformer by those of a pool whose keys are most similar to the image."
    citation: ClassVar[Citation | None] = Citation(
        key="wang2022learning",
        title="Learning to Prompt for Continual Learning",
        authors="Wang, Zifeng and Zhang, Zizhao and Lee, Chen-Yu and Zhang, Han and Sun, Ruoxi "
        "and Ren, Xiaoqi and Su, Guolong and Perot, Vincent and Dy, Jennifer and Pfister, Tomas",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2022,
        arxiv="2112.08654",
    )
    differs = (
        "A test image chooses its prompts alone, so results lie below published ones: their code lets a "
        "whole test batch vote, which gives the task away where test images are sorted by class. Prompts "
        "take the class token's position, as in the PyTorch ports; in the original they have none."
    )
    presets = {
        "imagenetr": _both(_adam(10, 32, 1.875e-3)),
        "clipped": _both(_adam(5, 16, 1.875e-3, clip_norm=1.0)),
        "original": {
            **_both(_adam(5, 16, 1.875e-3, clip_norm=1.0)),
            "length": 10,
            "top": 4,
            "pull": 1.0,
        },
        "small": {**_both(SMALL_PROMPTS), "length": 2, "top": 3},
    }

    name: Literal["l2p"] = "l2p"
    first_task: Schedule = Field(default=L2P, description="Schedule of the first task (LAMDA-PILOT).")
    later_tasks: Schedule = Field(default=L2P, description="Schedule of later tasks (LAMDA-PILOT).")
    pool: int = Field(default=10, ge=1, le=1000, description="Prompts in the pool (paper).")
    length: int = Field(default=5, ge=1, le=256, description="Tokens of a prompt (LAMDA-PILOT).")
    top: int = Field(default=5, ge=1, le=1000, description="Prompts per image (LAMDA-PILOT).")
    pull: float = Field(
        default=0.1,
        ge=0,
        le=100,
        description="Weight of the similarity between queries and chosen keys (LAMDA-PILOT).",
    )
    choice: Literal["batch", "sample"] = Field(
        default="batch",
        description="Who chooses prompts in training: the whole batch by its most frequent choices (as "
        "published results were made), or every image. Test images always choose alone.",
    )

    def check_track(self, dataset: DatasetCard, backbone: BackboneCard) -> None:
        """Require a pool that is large enough."""
        super().check_track(dataset, backbone)
        if self.top > self.pool:
            raise self.refuse(f"an image cannot take {self.top} of {self.pool} prompts", "method", "top")
