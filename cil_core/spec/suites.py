"""Suites: several methods on several tracks, submitted and read as one unit. Torch-free.

A suite consists of its jobs alone. Submitting it again submits the same jobs; finished runs are found, not
repeated. That is how a suite resumes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from cil_core.spec.base import Frozen
from cil_core.spec.jobs import JobSpec, Track
from cil_core.spec.recipes import BY_NAME, RECIPES

SEEDS = (1993, 1994, 1995)


class Suite(Frozen):
    """Recipes × tracks × seeds.

    Decisions:
        * Some sources train a method differently where the first task has more classes than later ones (B50).
          `half_base_presets` states those presets, so that one suite covers both kinds of track.
    """

    name: str
    title: str
    tracks: tuple[str, ...] = Field(description="Slugs.")
    recipes: tuple[dict[str, Any], ...] = Field(
        description="As they are submitted: a name, perhaps a preset, perhaps values."
    )
    seeds: tuple[int, ...] = SEEDS
    half_base_presets: dict[str, str] = Field(
        default={},
        description="By method, the preset that replaces its recipe's on tracks whose first task has more "
        "classes "
        "than later ones.",
    )

    @property
    def runs(self) -> int:
        """Runs in all."""
        return len(self.tracks) * len(self.recipes) * len(self.seeds)

    def jobs(self) -> Iterator[JobSpec]:
        """A job for each recipe on each track, track after track."""
        for track in self.tracks:
            for recipe in self.recipes_on(track):
                yield JobSpec.model_validate(
                    {"method": recipe, "track": track, "seeds": self.seeds, "name": self.name}
                )

    def recipes_on(self, track: str) -> list[dict[str, Any]]:
        """The recipes as they are submitted to one of the tracks."""
        protocol = Track.from_slug(track).protocol
        replaced = self.half_base_presets if protocol.first > protocol.increment else {}
        return [
            recipe | ({"preset": replaced[recipe["name"]]} if recipe["name"] in replaced else {})
            for recipe in self.recipes
        ]

    def on(self, dataset: str) -> Suite:
        """The same on another dataset, e.g. on a registered copy of it.

        Raises:
            pydantic.ValidationError: for a name that cannot be a dataset's.
        """
        renamed = [
            Track.model_validate(Track.from_slug(slug).model_dump() | {"dataset": dataset})
            for slug in self.tracks
        ]
        return self.model_copy(update={"tracks": tuple(track.slug for track in renamed)})


def _schedule(**fields: Any) -> dict[str, Any]:
    return {"first_task": fields, "later_tasks": fields}


SURVEYED: dict[str, str] = {
    "finetune": "survey",
    "ewc": "survey",
    "lwf": "survey",
    "gem": "survey",
    "replay": "survey",
    "icarl": "survey",
    "bic": "pycil",
    "wa": "survey",
    "coil": "survey",
    "podnet": "pycil",
    "foster": "default",
    "der-wa": "survey",
    "memo": "survey",
}
"""By method, the preset that does what the code of Zhou et al.'s survey (CIL_Survey 197fa86) does."""

SURVEYED_HALF_BASE = {"memo": "survey-b50"}
"""Presets that replace those of `SURVEYED` on B50 tracks."""


def _surveyed(name: str) -> dict[str, Any]:
    preset = SURVEYED[name]
    return {"name": name} if preset == "default" else {"name": name, "preset": preset}


_EXEMPLAR_FREE = (
    *("finetune", "ewc", "lwf", "pass", "il2a", "ssre", "fetril", "fecam", "acil", "ds-al", "gkeal"),
    *("drift", "efc", "adagauss", "joint"),
)
_SITED = [recipe for recipe in RECIPES if recipe.pretrained == "required"]
_TELLING = ("finetune", "lwf", "icarl", "wa", "der", "joint")
_LAPTOP = ("finetune", "replay", "icarl", "wa", "der-wa")

_SIGNED = (
    {"name": "simplecil"},
    *({"name": name, "preset": "small"} for name in ("ranpac", "acil", "fetril")),
)
"""Small recipes on frozen features, which may be negative."""

_ALL = (
    Suite(
        name="digits-quick",
        title="Six telling methods on digits, from the lower bound to the upper: the demo",
        tracks=("digits-b0-inc2-m50-convnet",),
        recipes=tuple({"name": name, "preset": "small"} for name in _TELLING),
    ),
    Suite(
        name="digits-all",
        title="Every method on digits: ten minutes on a laptop",
        tracks=("digits-b0-inc2-m50-convnet",),
        recipes=(
            *({"name": name, "preset": "small"} for name, recipe in BY_NAME.items() if recipe not in _SITED),
            {"name": "icarl", "preset": "small-bce"},
            *({"name": "drift", "preset": f"small-{each}"} for each in ("none", "sdc", "adc", "dpcr")),
            {"name": "efc", "preset": "small-efc++"},
        ),
    ),
    Suite(
        name="digits-pretrained",
        title="Every method that tunes a pre-trained transformer, and what each has to beat: no download",
        tracks=("digits-b0-inc2-m0-vit_8px-letters",),
        recipes=(
            *({"name": name, "preset": "small"} for name in ("finetune", "simplecil")),
            *({"name": name, "preset": "small"} for name, recipe in BY_NAME.items() if recipe in _SITED),
        ),
    ),
    Suite(
        name="digits-tuning",
        title="Temperatures of iCaRL on a fifth of the training images of digits: never on the test set",
        tracks=("digits-b0-inc2-m50-convnet-holdout20",),
        recipes=tuple(
            {"name": "icarl", "preset": "small", "temperature": temperature}
            for temperature in (1.0, 2.0, 4.0)
        ),
    ),
    Suite(
        name="digits-orders",
        title="How much the order of the classes matters: three orders, three seeds each",
        tracks=(
            "digits-b0-inc2-m50-convnet",
            "digits-b0-inc2-m50-convnet-order1994",
            "digits-b0-inc2-m50-convnet-order1995",
        ),
        recipes=tuple(
            {"name": name, "preset": "small"} for name in ("finetune", "replay", "icarl", "der-wa")
        ),
    ),
    Suite(
        name="digits-budgets",
        title="Accuracy against memory: four budgets, for AUC-A and AUC-L",
        tracks=tuple(f"digits-b0-inc2-m{amount}-convnet" for amount in (20, 50, 100, 200)),
        recipes=tuple({"name": name, "preset": "small"} for name in ("replay", "icarl", "wa")),
    ),
    Suite(
        name="fewshot-quick",
        title="Five images of each class after the first four, on digits: a minute on a laptop",
        tracks=("digits-b4-inc2-m0-convnet-shot5", "digits-b4-inc2-m0-convnet-shot5s1994"),
        recipes=tuple(
            {"name": name, "preset": "small"} for name in ("finetune", "simplecil", "acil", "fetril", "joint")
        ),
    ),
    Suite(
        name="longtail-quick",
        title="Ten times as many images of the first class as of the last, on digits: a few minutes",
        tracks=("digits-b0-inc2-m50-convnet-lt10", "digits-b0-inc2-m50-convnet-lt10o"),
        recipes=tuple(
            {"name": name, "preset": "small"}
            for name in ("finetune", "replay", "icarl", "wa", "simplecil", "joint")
        ),
    ),
    Suite(
        name="cifar10-small",
        title="Five methods on CIFAR-10 with a short schedule: some twenty minutes on two CPU cores",
        tracks=("cifar10-b0-inc2-m500-resnet20",),
        recipes=tuple(
            {"name": name, **_schedule(epochs=2, batch_size=64, lr=0.05, milestones=[1], weight_decay=5e-4)}
            for name in _LAPTOP
        ),
        seeds=(1993,),
    ),
    Suite(
        name="cifar100-survey",
        title="What the survey of Zhou et al. reports on CIFAR-100, as its code ran it: for GPUs",
        tracks=(
            "cifar100-b0-inc5-m2000-resnet32",
            "cifar100-b0-inc10-m2000-resnet32",
            "cifar100-b0-inc20-m2000-resnet32",
            "cifar100-b50-inc10-m2000-resnet32",
        ),
        recipes=(*(_surveyed(name) for name in SURVEYED), {"name": "joint"}),
        half_base_presets=SURVEYED_HALF_BASE,
    ),
    Suite(
        name="cifar100-aligned",
        title="The methods that keep exemplars on CIFAR-100, each with as many bytes as DER: for GPUs",
        tracks=("cifar100-b0-inc10-m2000a-resnet32", "cifar100-b50-inc10-m2000a-resnet32"),
        recipes=tuple(
            _surveyed(name)
            for name in ("replay", "icarl", "bic", "wa", "coil", "podnet", "foster", "der-wa", "memo")
        ),
        half_base_presets=SURVEYED_HALF_BASE,
    ),
    Suite(
        name="exemplar-free-survey",
        title="The methods without exemplars on CIFAR-100, each as its code augments: for GPUs",
        tracks=(
            "cifar100-b0-inc10-m0-resnet18",
            "cifar100-b0-inc20-m0-resnet18",
            "cifar100-b50-inc10-m0-resnet18",
        ),
        recipes=(
            *({"name": name} for name in _EXEMPLAR_FREE),
            *({"name": "drift", "preset": name} for name in ("none", "sdc", "adc", "dpcr")),
            {"name": "efc", "preset": "efc++"},
            *(
                {"name": "drift", "preset": name, "augmentation": "dataset"}
                for name in ("none", "sdc", "adc", "dpcr")
            ),
            {"name": "drift", "augmentation": "dataset"},
        ),
    ),
    Suite(
        name="pretrained-demo",
        title="Methods on frozen features of a real pre-trained network, on digits: minutes on a laptop",
        tracks=("digits-b0-inc2-m0-efficientnet_lite0-in1k",),
        recipes=(*_SIGNED, {"name": "fecam", "preset": "small"}),
    ),
    Suite(
        name="pretrained-quick",
        title="Methods on frozen features of ViT-Ti/16 on CIFAR-100: needs its weights, extracts once",
        tracks=("cifar224-b0-inc10-m0-vit_ti16-augreg_in21k",),
        recipes=({"name": "fecam", "preset": "pretrained"}, *_SIGNED),
        seeds=(1993,),
    ),
    Suite(
        name="pretrained-survey",
        title="Methods on frozen features of ViT-B/16 (ImageNet-21k) on CIFAR-100, three class orders",
        tracks=tuple(
            f"cifar224-b0-inc{increment}-m0-vit_b16{order}-augreg_in21k"
            for increment in (5, 10, 20)
            for order in ("", "-order1994", "-order1995")
        ),
        recipes=(
            {"name": "fecam", "preset": "pretrained"},
            *({"name": name} for name in ("simplecil", "ranpac", "acil", "fetril")),
        ),
    ),
)

SUITES: dict[str, Suite] = {suite.name: suite for suite in _ALL}
"""Every suite by its name; a test checks that each of its jobs can be run."""
