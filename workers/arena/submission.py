"""What a user submitted, what it may use, and which runs are refused."""

from __future__ import annotations

from dataclasses import dataclass

from cil_core.data.source import Source
from cil_core.engine.machine import Machine
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.jobs import RunSpec
from cil_core.spec.recipes import base
from workers.arena.messages import Sandbox


@dataclass(frozen=True, slots=True)
class Submission:
    """What a user submitted.

    Attributes:
        source: the text of the file.
        recipe: the hyper-parameters of this run, of the class that the reader made from the file.
    """

    source: str
    recipe: base.Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate may use.

    Attributes:
        sandbox: what separates it from this machine.
        learn_seconds: of one task's learner.
        answer_seconds: of one answerer.
        state_bytes: longest state.
        memory_bytes: of one process, or None.
        repeated: share of the test images that are answered again after the last task.
    """

    sandbox: Sandbox = "off"
    learn_seconds: float = 12 * 3600.0
    answer_seconds: float = 3600.0
    state_bytes: int = 2**30
    memory_bytes: int | None = None
    repeated: float = 0.1


def refuse_what_cannot_be_handed_out(spec: RunSpec, source: Source, machine: Machine) -> None:
    """Refuse a run whose data cannot be handed out task by task.

    Raises:
        InvalidSpec: the dataset is larger than memory or holds photographs, or the track needs weights.
    """
    size = source.arrays.train_images.nbytes + source.arrays.test_images.nbytes
    if size > machine.resident_bytes:
        raise InvalidSpec(
            f"submitted methods run on datasets of at most {machine.resident_bytes} bytes;"
            f" {source.card.name} has {size}",
            ("track", "dataset"),
        )
    if source.arrays.train_shapes is not None:
        raise InvalidSpec(
            f"submitted methods run on images of one size; {source.card.name} keeps photographs whole",
            ("track", "dataset"),
        )
    if spec.track.weights_key is not None:
        raise InvalidSpec(
            "submitted methods run on tracks without pre-trained weights", ("track", "pretrained")
        )
