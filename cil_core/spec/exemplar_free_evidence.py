"""What the recipes without exemplars whose backbone keeps learning were compared with."""

from __future__ import annotations

from cil_core.spec.provenance import OURS, PYCIL, Evidence

ADAGAUSS = "AdaGauss 2487d07"
ADC = "ADC 157278e"
DPCR = "ICML25-DPCR 6e69f60"
EFC = "elastic_feature_consolidation 3ef9172"
IL2A = "IL2A 0f849f1"
LDC = "ldc e3ea3e9"
SDC = "SDC-IL 4d9efc9"
SSRE = "SSRE 5475c98"

EXEMPLAR_FREE: dict[str, dict[str, Evidence]] = {
    "drift": {
        "default": Evidence(source=LDC, compared="Read: loss, map, classifier and schedules for CIFAR-100."),
        "none": Evidence(source=OURS, compared="The default without any move: what compensation adds."),
        "sdc": Evidence(
            source=f"{SDC}, {LDC}",
            compared="Read: the formula and unit features; training and σ are those of LDC's code.",
            differs="Batch norm adapts in later tasks; SDC-IL freezes it.",
        ),
        "sdc-raw": Evidence(
            source=LDC,
            compared="Read: features without normalisation.",
            differs="Its weights have a floor of 1e-5; its pairs are of different images.",
        ),
        "adc": Evidence(source=ADC, compared="Read: attack, drift, classifier and schedules for CIFAR-100."),
        "dpcr": Evidence(
            source=DPCR,
            compared="Read: map, projection, regression and schedules for CIFAR-100.",
            differs="The moments of new classes come from unaugmented images.",
        ),
    },
    "efc": {
        "default": Evidence(source=EFC, compared="Read: losses, draws, drift and schedules for CIFAR-100."),
        "efc++": Evidence(source=EFC, compared="Read: the second stage and its schedule."),
        "imagenet": Evidence(source=EFC, compared="Read: rates and schedules for ImageNet-100."),
    },
    "adagauss": {
        "default": Evidence(
            source=ADAGAUSS, compared="Read: losses, adapter, classifier and the script for CIFAR-100."
        ),
        "linear-adapter": Evidence(source=OURS, compared="The default with an affine adapter."),
    },
    "il2a": {
        "default": Evidence(
            source=f"{IL2A}, {PYCIL}", compared="Read: mixtures, losses, surrogate and schedules."
        )
    },
    "ssre": {
        "default": Evidence(
            source=f"{SSRE}, {PYCIL}",
            compared="Read: branches, losses and schedules; the first task is PyCIL's.",
        ),
        "paper": Evidence(source=SSRE, compared="Read: gradients through the likeness."),
        "pycil": Evidence(
            source=PYCIL,
            compared="Read: the schedule of later tasks; the code does not start as published.",
            differs="Branches have no bias and rest in the first task.",
        ),
    },
}
"""By method and preset; part of `EVIDENCE`."""
