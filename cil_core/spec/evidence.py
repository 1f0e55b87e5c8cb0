"""What the recipes were compared with: per method and preset a source, how closely, and what still differs.

The sources are public repositories, named with the commit that was read. "Read" means that schedules, loss,
memory and order of steps were compared line by line; "run" means that both codes computed losses and
gradients from the same weights and batches (`benchmarks/results/parity.md`).
"""

from __future__ import annotations

from cil_core.spec.exemplar_free_evidence import EXEMPLAR_FREE
from cil_core.spec.provenance import MAMMOTH, OURS, PAPER, PYCIL, READ, Evidence
from cil_core.spec.rehearsal_evidence import REHEARSAL
from cil_core.spec.tuning_evidence import TUNING

SURVEY = "CIL_Survey 197fa86"
DER = "DER-ClassIL.pytorch dd4af61"
PODNET = "incremental_learning.pytorch c09fc54"
UCIR = "CVPR19_Incremental_Learning e5a90ae"
GEM = "GradientEpisodicMemory 34c6b8e"
ICARL = "iCaRL 7a3d254"
BIC = "LargeScaleIncrementalLearning 7f687a3"
FOSTER = "ECCV22-FOSTER 555c7f0"
MEMO = "ICLR23-MEMO d261c11"
COIL = "MM21-Coil f4ebcc1"
PASS = "CVPR21_PASS 8b79993"  # noqa: S105 - a method's name
FETRIL = "FeTrIL e3b139c"
FECAM = "FeCAM d2479b7"
RANPAC = "RanPAC 012927f"
ACIL = "Analytic-continual-learning 0afd6bf"

RUN = "Read and run: losses and gradients agree."


_COSINE_START = "The survey starts from one shared checkpoint; every run here trains its first task itself."
_SURVEY_READ = "Read: the survey's code differs from PyCIL's in the first task alone."


_BATCHES = "Batches have a fixed order. The dataset's augmentation replaces TrivialAugment."


def _survey(compared: str = _SURVEY_READ, differs: str = _COSINE_START) -> Evidence:
    return Evidence(source=SURVEY, compared=compared, differs=differs)


EVIDENCE: dict[str, dict[str, Evidence]] = {
    **EXEMPLAR_FREE,
    **TUNING,
    **REHEARSAL,
    "finetune": {"default": Evidence(source=PYCIL, compared=RUN), "survey": _survey()},
    "joint": {"default": Evidence(source=OURS, compared="No public code has this bound.")},
    "replay": {"default": Evidence(source=PYCIL, compared=RUN), "survey": _survey()},
    "lwf": {
        "default": Evidence(source=PYCIL, compared=RUN),
        "paper": Evidence(
            source=PAPER,
            compared="The weight, from comments of FACIL that quote the paper; the paper was not read.",
            differs="Network, data and schedules are PyCIL's.",
        ),
        "survey": _survey(),
    },
    "ewc": {
        "default": Evidence(
            source=PYCIL,
            compared="Read and run: penalty and Fisher of one batch agree.",
            differs="F is estimated in evaluation mode without augmentation.",
        ),
        "paper": Evidence(
            source=PAPER,
            compared="The definition of F and of the penalty; the paper has no class-incremental recipe.",
            differs="Bound, strength and schedules are ours and PyCIL's.",
        ),
        "pycil": Evidence(source=PYCIL, compared="Read and run: penalty and Fisher of one batch agree."),
        "survey": _survey(),
    },
    "gem": {
        "default": Evidence(source=PYCIL, compared="Read and run: losses and projected gradients agree."),
        "paper": Evidence(source=GEM, compared=READ, differs="Exemplars are herded, not the last ones seen."),
        "survey": _survey(),
    },
    "agem": {
        "default": Evidence(source=MAMMOTH, compared="Read: projection and reference batch."),
        "paper": Evidence(source=PAPER, compared="The single pass; the paper's code was not read."),
    },
    "derpp": {"default": Evidence(source=MAMMOTH, compared="Read: loss, reservoir and schedule.")},
    "icarl": {
        "default": Evidence(source=PYCIL, compared=RUN),
        "paper": Evidence(source=ICARL, compared="Read: loss, schedule, herding and class means."),
        "survey": _survey(),
    },
    "bic": {
        "default": Evidence(
            source=BIC, compared="Read: losses, shift penalty and length of the second stage."
        ),
        "pycil": Evidence(
            source=f"{PYCIL}; {SURVEY} has the same code",
            compared="Read and run: losses and gradients of both stages agree.",
            differs="At least one image per class is held out; PyCIL may hold out none.",
        ),
    },
    "wa": {
        "default": Evidence(
            source=PAPER,
            compared="Loss, clipping and aligning as the survey and an unofficial code have them; the "
            "paper was not "
            "read.",
        ),
        "pycil": Evidence(source=PYCIL, compared=RUN),
        "survey": _survey("Read: loss CE + 2 · KD, schedule and aligning."),
    },
    "coil": {
        "default": Evidence(source=COIL, compared="Read: costs, plans, terms and schedule."),
        "pycil": Evidence(
            source=PYCIL,
            compared="Read and run: losses and gradients agree, with the transported rows given.",
        ),
        "survey": Evidence(source=SURVEY, compared="Read: PyCIL's code with a transport every 200 steps."),
    },
    "ucir": {
        "default": Evidence(
            source=UCIR, compared="Read: loss, head, imprinting and schedule of the CIFAR script."
        )
    },
    "podnet": {
        "default": Evidence(
            source=PODNET,
            compared="Read: loss, proxies, similarity, clipping and both phases of `podnet_cnn_cifar100`.",
            differs="Exemplars are herded greedily.",
        ),
        "paper": Evidence(
            source=PAPER,
            compared="The formula of the NCA loss; everything else is the default.",
            differs="The scale has no gradient from the margin.",
        ),
        "pycil": Evidence(
            source=f"{PYCIL}; {SURVEY} has the same code",
            compared=RUN,
        ),
    },
    "der": {
        "default": Evidence(
            source=PAPER,
            compared="Masks and pruning follow a third-party note of the paper and HAT's code.",
        ),
        "no-pruning": Evidence(
            source=PAPER,
            compared="The default without masks; everything that remains is in the official code.",
        ),
        "official": Evidence(source=DER, compared="Read: `der_womask/cifar100/b0/10steps`."),
        "official-b50": Evidence(
            source=DER,
            compared="Read: `der_womask/cifar100/b50/10steps`.",
            differs="The official code keeps 20 exemplars per class there; the track decides here.",
        ),
    },
    "der-wa": {"default": Evidence(source=PYCIL, compared=RUN), "survey": _survey()},
    "memo": {
        "default": Evidence(source=f"{PYCIL}, {MEMO}", compared=RUN),
        "fixed-trunk": Evidence(source=MEMO, compared="Read: `train_base` is absent in B50 scripts."),
        "survey": _survey("Read: `scripts/benchmark/cifar_b0_*_memo.sh` (cosine, `--train_base`).", ""),
        "survey-b50": _survey("Read: `scripts/benchmark/cifar_b50_*_memo.sh` (cosine, fixed trunk).", ""),
    },
    "foster": {
        "default": Evidence(source=f"{PYCIL}; {SURVEY} has the same code", compared=RUN),
        "paper": Evidence(source=FOSTER, compared="Read: AutoAugment and Cutout are its data set's default."),
        "paper-b0-inc10": Evidence(source=FOSTER, compared="Read: `configs/cifar/b0inc10.json`."),
    },
    "simplecil": {
        "default": Evidence(source=PYCIL, compared="Read: the first task and the rows of class means.")
    },
    "fetril": {
        "default": Evidence(
            source=PYCIL, compared="Read: pairs of classes, translated features and schedules."
        ),
        "paper": Evidence(source=FETRIL, compared="Read: the distance that pairs classes."),
        "pretrained": Evidence(
            source=OURS,
            compared="Pairs and unit-norm features as in the official code; the head is PyCIL's.",
        ),
    },
    "acil": {
        "default": Evidence(source=PYCIL, compared="Read and run: the recursive regression agrees."),
        "compact": Evidence(source=OURS, compared="The default with a matrix of 32 MiB instead of 512."),
        "paper": Evidence(source=ACIL, compared="Read: the schedule of the base task."),
        "pretrained": Evidence(source=ACIL, compared="Read: expansion and ridge, which are the defaults."),
    },
    "ds-al": {
        "default": Evidence(source=f"{ACIL}, {PYCIL}", compared="Read: both streams, cleared residuals."),
        "imagenet": Evidence(
            source=ACIL,
            compared="Read: the values for ImageNet-1000 in the documentation.",
            differs=_BATCHES,
        ),
        "paper": Evidence(source=ACIL, compared="Read: the schedule of the base task.", differs=_BATCHES),
        "pycil": Evidence(
            source=PYCIL,
            compared="Read: the residual after each batch.",
            differs="Batches have a fixed order.",
        ),
    },
    "gkeal": {
        "default": Evidence(
            source=ACIL, compared="Read: kernel, centres, regression and schedule of the base task."
        ),
    },
    "ranpac": {
        "default": Evidence(
            source=RANPAC, compared="Read: projection, sums, choice of the ridge and linear head."
        ),
        "compact": Evidence(source=OURS, compared="The default with 32 MB of sums instead of 800."),
        "no-projection": Evidence(source=RANPAC, compared="Read: the ablation without a projection."),
    },
    "fecam": {
        "default": Evidence(
            source=FECAM,
            compared="Read: transformation, shrinkage, distance and schedule of the ResNet configurations.",
        ),
        "pretrained": Evidence(
            source=FECAM,
            compared="Read: the ViT scripts.",
            differs="The class order is the track's; the scripts keep the order of the data set.",
        ),
    },
    "pass": {
        "default": Evidence(source=PASS, compared="Read: loss, prototypes, radius and schedule."),
        "pycil": Evidence(
            source=PYCIL,
            compared="Read and run: losses and gradients agree without the random prototypes.",
            differs="Number of prototypes per step and backbone, as stated above.",
        ),
    },
}
"""By method and preset; presets named `small…` are ours and follow no source."""
