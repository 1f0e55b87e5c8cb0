"""What importances, rehearsal and expansion that followed PyCIL's first methods were compared with."""

from __future__ import annotations

from cil_core.spec.provenance import MAMMOTH, PAPER, PYCIL, Evidence

MAS = "MAS-Memory-Aware-Synapses c3e6a85"
FACIL = "FACIL e09d2c8"
AML = "AML 7c92936"
SSIL = "SS-IL-Official 8c32381"
GDUMB = "GDumb 4f412d7"
AFC = "AFC 94cecc9"
TAGFEX = "TagFex_CVPR2025 78b972c"
BEEF = "ICLR23-BEEF 2903601"

REHEARSAL: dict[str, dict[str, Evidence]] = {
    "mas": {
        "default": Evidence(
            source=PAPER,
            compared="The definition of Ω; strength and merge from the official code. Paper not read.",
            differs="Schedules are those of EWC in PyCIL.",
        ),
        "batch": Evidence(
            source=f"{MAS}; {FACIL} has the same estimate of ‖z‖",
            compared="Read: the gradient of a batch, its absolute value, the penalty.",
            differs="Evaluation mode, bound, L2 weight decay and the schedules, as stated above.",
        ),
        "unbounded": Evidence(
            source=f"{MAS}, {FACIL}",
            compared="Read: neither code bounds Ω.",
            differs="Ω per image and the schedules, as stated above.",
        ),
    },
    "si": {
        "default": Evidence(
            source=FACIL,
            compared="Read: path integral, importance and penalty.",
            differs="Schedules are those of EWC in PyCIL.",
        )
    },
    "er-ace": {
        "default": Evidence(
            source=f"{MAMMOTH}, {AML}",
            compared="Read: both losses, reservoir and order of steps.",
            differs="Schedule of DER++ in mammoth.",
        ),
        "online": Evidence(
            source=MAMMOTH,
            compared="Read: the single pass over CIFAR-10.",
            differs="Backbone, head and normalisation, as stated above.",
        ),
    },
    "ss-il": {
        "default": Evidence(
            source=SSIL,
            compared="Read: both losses and the sizes of batches.",
            differs="Schedules are those of replay in PyCIL.",
        ),
        "imagenet": Evidence(source=SSIL, compared="Read: the schedule for ImageNet-1000."),
    },
    "gdumb": {
        "default": Evidence(
            source=GDUMB,
            compared="Read: sampler, CutMix, clipping and learning rates.",
            differs="The evaluated epoch, the sample and the precision, as stated above.",
        )
    },
    "afc": {
        "default": Evidence(
            source=AFC,
            compared="Read: importances, distance, both phases and `AFC_cnn_cifar100`.",
            differs="Greedy herding, mode of the measurement and stages, as stated above.",
        ),
        "margin": Evidence(
            source=PAPER,
            compared="The formula of PODNet's NCA loss; everything else is the default.",
            differs="The scale has no gradient from the margin.",
        ),
    },
    "beef": {
        "default": Evidence(
            source=PAPER,
            compared="The official code and PyCIL, without the sign that drops biases; paper not read.",
            differs="Frozen statistics and removed columns, as stated above.",
        ),
        "pycil": Evidence(
            source=f"{PYCIL}; {BEEF} has the same code",
            compared="Read: both phases, negatives, prototypes and biases.",
            differs="Frozen statistics and removed columns, as stated above.",
        ),
        "imagenet": Evidence(source=BEEF, compared="Read: weight and alignment for ImageNet."),
    },
    "tagfex": {
        "default": Evidence(
            source=TAGFEX,
            compared="Read: every term, growth, attention, aligning, views and schedules.",
        ),
        "pycil": Evidence(
            source=PYCIL,
            compared="Read: the default with random columns of old rows.",
            differs="PyCIL also runs the task-agnostic network at test time.",
        ),
    },
    "x-der": {
        "default": Evidence(
            source=MAMMOTH,
            compared="Read: the terms, the transplant and the memory of `xder.py`; its settings in part.",
            differs="Sizes of tasks, logits that are not positive, views, draws, similarity: as above.",
        )
    },
}
"""By method and preset."""
