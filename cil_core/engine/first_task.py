"""Sharing the first task: methods that start alike train it once, as the survey's authors did.

The first task of many methods is the same computation: cross-entropy on the same images, from the same
initialisation.

Decisions:
    * A method declares that its first phase is plain (`Method.plain_first_task`). A hash then decides whether
      two runs really start alike. It covers everything the phase depends on: engine, data, class order, seed,
      schedule, precision, compilation, every initial weight, and what rounding depends on: PyTorch's version,
      device, threads and CPU instruction set.
    * Equal hashes mean equal computations, so loading the trained weights from a file changes no result. A
      test runs every such method both ways.
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
    """The trained first tasks of one machine.

    Args:
        directory: where their weights are kept, one file each.
        fingerprint: of the dataset.
        class_order: of the track.
    """

    def __init__(self, directory: Path, fingerprint: str, class_order: tuple[int, ...]) -> None:
        self.directory = directory
        self._data = [fingerprint, list(class_order)]

    def file_for(self, method: Method, phase: Phase) -> Path | None:
        """The file for the trained weights of this phase; None if the phase cannot be shared.

        The file need not exist. Call this before training, because the name depends on the initial weights.
        """
        if (
            not method.plain_first_task
            or not isinstance(phase.data, ArrayDataset)
            or phase.after_backward
            or phase.after_step
            or list(phase.undecayed)
            or bool(list(phase.groups))
        ):
            return None
        context = method.context
        depends_on = [
            ENGINE_VERSION,
            *self._data,
            context.task_sizes[0],
            len(phase.data),
            context.randomness.seed,
            context.precision,
            bool(method.compiled_batches),
            *rounding(context.device),
            phase.schedule.model_dump(mode="json"),
            phase.data.transform.description,
            digest(phase.model.state_dict()),
        ]
        return self.directory / f"{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()}.pt"

    @staticmethod
    def load(file: Path, phase: Phase) -> bool:
        """Load trained weights into the phase's model.

        Returns:
            Whether it succeeded. A missing or damaged file means that the phase must be trained; `save`
            then replaces the file.
        """
        try:
            kept = torch.load(file, map_location="cpu", weights_only=True)
            state = kept["state"]
            if digest(state) != kept["digest"]:
                return False
        except FileNotFoundError:
            return False
        except Exception:  # noqa: BLE001 - a damaged file may raise anything; training replaces it
            return False
        phase.model.load_state_dict(state)
        phase.model.eval()
        return True

    @staticmethod
    def save(file: Path, phase: Phase) -> None:
        """Store the weights of a trained phase for other methods.

        Raises:
            OSError: if the disk is full or read-only.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value.detach().cpu() for name, value in phase.model.state_dict().items()}
        content = io.BytesIO()
        torch.save({"state": state, "digest": digest(state)}, content)
        write_atomically(file, content.getvalue())


def rounding(device: torch.device) -> list[str | int]:
    """What the rounding of a computation depends on: software, processor and threads."""
    if device.type == "cpu":
        return [torch.__version__, "cpu", torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()]
    return [torch.__version__, device.type, torch.cuda.get_device_name(device)]


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bits of the tensors."""
    found = hashlib.sha256()
    for name, value in state.items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        if value.ndim:
            # `contiguous` would keep the stride of a dimension of size 1, which no view as bytes takes
            numbers = value.detach().cpu().flatten().clone(memory_format=torch.contiguous_format)
            found.update(numbers.view(torch.uint8).numpy().data)
        else:
            found.update(str(value.item()).encode())
    return found.hexdigest()
