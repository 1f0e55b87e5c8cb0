"""Sharing the first task: methods that begin alike train it once, as the survey's authors did.

The first task of many methods is the same computation: cross-entropy on the same images, from the same initialisation. A method says of itself that its
first phase is plain (`Method.plain_first_task`); that two runs then really begin alike is decided by a hash over everything the phase depends on: engine,
data and order of its classes, seed, schedule, precision, compilation, device, threads and every initial weight. Equal hashes mean equal computations, so taking the
trained weights from a file changes no result; a test trains every such method both ways.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import torch
from torch import Tensor

from cil_core import ENGINE_VERSION
from cil_core.data.arrays import ArrayDataset
from cil_core.learning.method import Method
from cil_core.learning.phase import Phase
from cil_core.spec.atomic_write import write_atomically


class FirstTasks:
    """The trained first phases of one machine.

    Args:
        directory: where they are kept.
        fingerprint: of the dataset.
        class_order: of the track.
    """

    def __init__(self, directory: Path, fingerprint: str, class_order: tuple[int, ...]) -> None:
        self.directory = directory
        self._data = [fingerprint, list(class_order)]

    def file_for(self, method: Method, phase: Phase) -> Path | None:
        """Where the weights of this phase lie once somebody has trained it; None if the method begins in its own way.

        To be asked before the phase is trained: the name depends on the initial weights.
        """
        if (
            not method.plain_first_task
            or not isinstance(phase.data, ArrayDataset)
            or phase.after_backward
            or phase.after_step
            or list(phase.undecayed)
        ):
            return None
        context = method.context
        device = str(context.device.type)
        depends_on = [
            ENGINE_VERSION, *self._data, context.task_sizes[0], len(phase.data), context.randomness.seed, context.precision, bool(method.compiled_batches),
            device, torch.get_num_threads() if device == "cpu" else torch.cuda.get_device_name(context.device),
            phase.schedule.model_dump(mode="json"), phase.data.transform.tokens, digest(phase.model.state_dict()),
        ]  # fmt: skip
        return self.directory / f"{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()}.pt"

    @staticmethod
    def load(file: Path, phase: Phase) -> bool:
        """Load trained weights; False if nobody has trained this phase, or the file is damaged, which training it again mends."""
        try:
            kept = torch.load(file, map_location="cpu", weights_only=True)
            state = kept["state"]
            if digest(state) != kept["digest"]:
                return False
        except FileNotFoundError:
            return False
        except Exception:  # noqa: BLE001 - whatever a damaged file makes the loader raise, the phase can be trained instead
            return False
        phase.model.load_state_dict(state)
        phase.model.eval()
        return True

    @staticmethod
    def save(file: Path, phase: Phase) -> None:
        """Keep the weights of a trained phase for others.

        Raises:
            OSError: if the disk is full or read-only.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value.detach().cpu() for name, value in phase.model.state_dict().items()}
        content = io.BytesIO()
        torch.save({"state": state, "digest": digest(state)}, content)
        write_atomically(file, content.getvalue())


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bits."""
    found = hashlib.sha256()
    for name, value in state.items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(
            value.detach().cpu().contiguous().view(torch.uint8).numpy().data
            if value.ndim
            else str(value.item()).encode()
        )
    return found.hexdigest()
