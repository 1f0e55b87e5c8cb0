"""What the recipes that tune pre-trained transformers were compared with.

Nothing was run against the sources: no published weights were at hand.
"""

from __future__ import annotations

from cil_core.spec.provenance import Evidence

REVISITING = "RevisitingCIL a2e6b71"
PILOT = "LAMDA-PILOT 5240714"
CODA = "CODA-Prompt 6417d4f"
DUAL = "dualprompt-pytorch 7eb457d"
L2P = "l2p-pytorch f7bc994"
L2P_JAX = "l2p dd8836e"
EASE = "CVPR24-Ease 6d67508"
SLCA = "SLCA 169d4e6"
INFLORA = "InfLoRA e08b00e"
MOS = "AAAI25-MOS 8d5e07c"

_WEIGHTS = "Its configurations name weights fine-tuned on ImageNet-1k; here the track names them."
_CONFIGURATION = "Read: the schedule of the configuration."


def _pilot(compared: str = _CONFIGURATION) -> Evidence:
    return Evidence(source=PILOT, compared=compared, differs=_WEIGHTS)


def _of(source: str, *presets: str) -> dict[str, Evidence]:
    return {preset: Evidence(source=source, compared=_CONFIGURATION) for preset in presets}


TUNING: dict[str, dict[str, Evidence]] = {
    "aper": {
        "default": Evidence(
            source=REVISITING, compared="Read: adapters, order of steps and the configuration for CIFAR-100."
        ),
        "ssf": Evidence(source=REVISITING, compared="Read: places, start values and schedule."),
        "vpt-shallow": Evidence(source=REVISITING, compared="Read: place, start values and schedule."),
        "vpt-deep": Evidence(source=REVISITING, compared="Read: place, start values and schedule."),
        **_of(REVISITING, "finetune", "imagenetr"),
        "pilot-vpt-deep": _pilot(),
    },
    "coda-prompt": {
        "default": Evidence(source=CODA, compared="Read: prompts, loss, order of steps and schedule."),
        **_of(CODA, "imagenetr"),
    },
    "dualprompt": {
        "default": _pilot("Read: places, losses, order of steps and schedule."),
        "imagenetr": _pilot(),
        "official": Evidence(source=DUAL, compared="Read: the configuration for CIFAR-100."),
        "official-imagenetr": Evidence(source=DUAL, compared="Read: the configuration for ImageNet-R."),
    },
    "l2p": {
        "default": _pilot("Read: place, losses, choice of prompts and schedule."),
        "imagenetr": _pilot(),
        "clipped": Evidence(source=L2P, compared="Read: the configuration for CIFAR-100."),
        "original": Evidence(
            source=L2P_JAX,
            compared="Read: the configuration for CIFAR-100.",
            differs="The original gives prompts no position.",
        ),
    },
    "ease": {
        "default": Evidence(source=EASE, compared="Read: loss, synthesis, score and schedule for CIFAR-100."),
        **_of(EASE, "cub", "cub-in1k", "imagenetr", "imageneta", "objectnet", "vtab"),
    },
    "slca": {
        "default": Evidence(
            source=SLCA, compared="Read: both stages, statistics and schedule for CIFAR-100."
        ),
        **_of(SLCA, "fifty-epochs", "cars", "mocov3"),
    },
    "slcapp": {
        "default": Evidence(
            source=SLCA, compared="Read: updates, losses, scales and the configuration for CIFAR-100."
        ),
        **_of(SLCA, "fifty-epochs", "imagenetr", "mocov3"),
    },
    "inflora": {
        "default": Evidence(
            source=INFLORA, compared="Read: directions, memory, order of steps and schedule for CIFAR-100."
        ),
        **_of(INFLORA, "imagenetr"),
    },
    "mos": {
        "default": Evidence(
            source=MOS, compared="Read: losses, alignment, iteration at test and schedule for CIFAR-100."
        ),
        "published-code": Evidence(
            source=MOS,
            compared="Read: how often its code merges in training, and what its drift leads to in testing.",
            differs="Earlier adapters are replaced by their mean at once, not from test batch to test batch.",
        ),
        **_of(MOS, "cub", "imagenetr", "imageneta", "objectnet", "omnibenchmark", "vtab"),
    },
}
"""By method and preset, as in `evidence`."""
