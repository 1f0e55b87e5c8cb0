"""Save and restore a run at task boundaries.

Decisions:
    * A checkpoint is two files: `task-003.pt` holds the method's state dict, `task-003.json` the manifest
      (SHA-256, spec, finished results). Each is written under a temporary name, flushed to disk and renamed.
      The manifest comes last, so its checkpoint is complete.
    * Tensors are loaded with `weights_only=True`: a checkpoint cannot run code.
    * A damaged checkpoint is reported and the previous one is used; an attempt keeps its newest two for that
      purpose.
    * Structure follows state: modules first create the parts that the state dict has weights for, then
      parameters adopt its shapes.
    * No generator state is stored, because every generator is derived from the seed and its purpose
      (`seeding`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cil_core.spec.atomic_write import write_atomically
from cil_core.spec.base import Frozen
from cil_core.spec.errors import CheckpointError
from cil_core.spec.events import TaskEvaluated

KEPT = 2


class Manifest(Frozen):
    """What a run needs to trust a checkpoint: its identity, checksum and finished results."""

    spec_digest: str
    engine_version: str
    dataset_fingerprint: str
    sha256: str
    finished: tuple[TaskEvaluated, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A valid checkpoint: the method's state and the results of the tasks it has finished."""

    state: dict[str, Tensor]
    finished: tuple[TaskEvaluated, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """Spec, engine and data: a run resumes only from checkpoints with the same identity."""

    spec_digest: str
    engine_version: str
    dataset_fingerprint: str


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: where this attempt writes; created when needed.
        earlier: directories of earlier attempts, read only.
    """

    def __init__(self, directory: Path, earlier: Sequence[Path] = ()) -> None:
        self.directory = directory
        self.earlier = tuple(earlier)

    def save(
        self, identity: Identity, state: Mapping[str, Tensor], finished: Sequence[TaskEvaluated]
    ) -> None:
        """Write the state after the last finished task.

        Args:
            identity: of this run.
            state: the method's state dict.
            finished: results of all finished tasks; their number names the files.

        Raises:
            CheckpointError: if a file cannot be written, with the reason. No final name then refers to a
            partial file.
        """
        content = io.BytesIO()
        torch.save(dict(state), content)
        data = content.getvalue()
        manifest = Manifest(
            spec_digest=identity.spec_digest,
            engine_version=identity.engine_version,
            dataset_fingerprint=identity.dataset_fingerprint,
            sha256=hashlib.sha256(data).hexdigest(),
            finished=tuple(finished),
        )
        stem = self.directory / f"task-{len(finished):03d}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_atomically(stem.with_suffix(".pt"), data)
            write_atomically(stem.with_suffix(".json"), manifest.model_dump_json().encode())
            self._prune()
        except OSError as error:
            raise CheckpointError(f"cannot write checkpoint {stem}: {error.strerror or error}") from error

    def latest(self, identity: Identity) -> tuple[Checkpoint | None, tuple[str, ...]]:
        """Find the newest valid checkpoint of this run.

        Returns:
            The checkpoint, or None; and one line per newer one that was skipped, with the reason.
        """
        manifests = [
            path for folder in (self.directory, *self.earlier) for path in folder.glob("task-*.json")
        ]
        skipped: list[str] = []
        for path in sorted(manifests, key=lambda path: path.name, reverse=True):
            try:
                return _read(path, identity), tuple(skipped)
            except (CheckpointError, ValidationError, OSError, RuntimeError, EOFError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                skipped.append(f"{path.parent.name}/{path.stem}: {reason}")
        return None, tuple(skipped)

    def _prune(self) -> None:
        for manifest in sorted(self.directory.glob("task-*.json"))[:-KEPT]:
            manifest.unlink()
            manifest.with_suffix(".pt").unlink(missing_ok=True)


def _read(path: Path, identity: Identity) -> Checkpoint:
    manifest = Manifest.model_validate_json(path.read_bytes())
    if (manifest.spec_digest, manifest.engine_version, manifest.dataset_fingerprint) != (
        identity.spec_digest,
        identity.engine_version,
        identity.dataset_fingerprint,
    ):
        raise CheckpointError("written for another spec, engine version or dataset")
    data = path.with_suffix(".pt").read_bytes()
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise CheckpointError("tensors do not match their SHA-256")
    return Checkpoint(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True), manifest.finished)


def restore(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Restore a state dict, creating missing submodules first.

    Args:
        module: freshly built; it may have fewer submodules and other shapes than the saved one.
        state: the saved state dict.

    Raises:
        RuntimeError: if names or types of `state` do not fit the module.
    """
    _match_structure(module, state)
    _adopt_shapes(module, state)
    module.load_state_dict(dict(state))


def _match_structure(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    match = getattr(module, "match_structure", None)
    if match is not None:
        match(state)
    for name, child in module.named_children():
        prefix = f"{name}."
        _match_structure(
            child, {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        )


def _adopt_shapes(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give every parameter the shape, and every buffer the shape and type, that it has in `state`."""
    for path, owner in module.named_modules():
        prefix = f"{path}." if path else ""
        for name, parameter in list(owner.named_parameters(recurse=False)):
            saved = state.get(prefix + name)
            if saved is not None and saved.shape != parameter.shape:
                setattr(
                    owner,
                    name,
                    nn.Parameter(
                        torch.empty_like(saved, device=parameter.device),
                        requires_grad=parameter.requires_grad,
                    ),
                )
        for name, buffer in list(owner.named_buffers(recurse=False)):
            saved = state.get(prefix + name)
            if saved is not None and (saved.shape != buffer.shape or saved.dtype != buffer.dtype):
                setattr(owner, name, torch.empty_like(saved, device=buffer.device))
