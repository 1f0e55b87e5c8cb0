"""Save and restore a run at task boundaries.

Decisions:
    * A checkpoint is two files: `task-003.pt` holds the method's state dict, `task-003.json` the manifest
      (SHA-256, spec, finished results). Each is written under a temporary name, flushed to disk and renamed.
      The manifest comes last, so its checkpoint is complete.
    * Tensors are loaded with `weights_only=True`: a checkpoint cannot run code. The state of a submitted
      method stays the bytes that it left (`STATE_BYTES`), and no trusted process builds tensors from it.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cil_core.engine.state_header import parse
from cil_core.spec.atomic_write import write_atomically
from cil_core.spec.base import Frozen
from cil_core.spec.errors import CheckpointError
from cil_core.spec.events import TaskEvaluated

KEPT = 2

StateDict = Mapping[str, Tensor]
State = TypeVar("State")


class Manifest(Frozen):
    """What a run needs to trust a checkpoint: its identity, checksum and finished results."""

    spec_digest: str
    engine_version: str
    dataset_fingerprint: str
    sha256: str
    finished: tuple[TaskEvaluated, ...]


@dataclass(frozen=True, slots=True)
class Format(Generic[State]):
    """How a state becomes the bytes of a file.

    Attributes:
        suffix: of the file.
        encode: returns the bytes of a state.
        decode: returns the state of bytes whose checksum is right.
    """

    suffix: str
    encode: Callable[[State], bytes]
    decode: Callable[[bytes], State]


def _encode_tensors(state: StateDict) -> bytes:
    content = io.BytesIO()
    torch.save(dict(state), content)
    return content.getvalue()


def _decode_tensors(content: bytes) -> StateDict:
    state: StateDict = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def _checked(content: bytes) -> bytes:
    parse(content)
    return content


TENSORS: Format[StateDict] = Format(".pt", _encode_tensors, _decode_tensors)
STATE_BYTES: Format[bytes] = Format(".state", bytes, _checked)
"""A state file (`state_file`), kept as it is."""


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[State]):
    """A valid checkpoint: the method's state and the results of the tasks it has finished."""

    state: State
    finished: tuple[TaskEvaluated, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """Spec, engine and data: a run resumes only from checkpoints with the same identity."""

    spec_digest: str
    engine_version: str
    dataset_fingerprint: str


class CheckpointStore(Generic[State]):
    """The checkpoints of one run.

    Args:
        format: of the states.
        directory: where this attempt writes; created when needed.
        earlier: directories of earlier attempts, read only.
    """

    def __init__(self, format: Format[State], directory: Path, earlier: Sequence[Path] = ()) -> None:  # noqa: A002 - the word for it
        self.format = format
        self.directory = directory
        self.earlier = tuple(earlier)

    def save(self, identity: Identity, state: State, finished: Sequence[TaskEvaluated]) -> None:
        """Write the state after the last finished task.

        Args:
            identity: of this run.
            state: of the method.
            finished: results of all finished tasks; their number names the files.

        Raises:
            CheckpointError: if a file cannot be written, with the reason. No final name then refers to a
            partial file.
        """
        data = self.format.encode(state)
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
            write_atomically(stem.with_suffix(self.format.suffix), data)
            write_atomically(stem.with_suffix(".json"), manifest.model_dump_json().encode())
            self._prune()
        except OSError as error:
            raise CheckpointError(f"cannot write checkpoint {stem}: {error.strerror or error}") from error

    def latest(self, identity: Identity) -> tuple[Checkpoint[State] | None, tuple[str, ...]]:
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
                return self._read(path, identity), tuple(skipped)
            except (CheckpointError, ValidationError, OSError, RuntimeError, EOFError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                skipped.append(f"{path.parent.name}/{path.stem}: {reason}")
        return None, tuple(skipped)

    def _read(self, path: Path, identity: Identity) -> Checkpoint[State]:
        manifest = Manifest.model_validate_json(path.read_bytes())
        if (manifest.spec_digest, manifest.engine_version, manifest.dataset_fingerprint) != (
            identity.spec_digest,
            identity.engine_version,
            identity.dataset_fingerprint,
        ):
            raise CheckpointError("written for another spec, engine version or dataset")
        data = path.with_suffix(self.format.suffix).read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest.sha256:
            raise CheckpointError("tensors do not match their SHA-256")
        return Checkpoint(self.format.decode(data), manifest.finished)

    def _prune(self) -> None:
        for manifest in sorted(self.directory.glob("task-*.json"))[:-KEPT]:
            manifest.unlink()
            manifest.with_suffix(self.format.suffix).unlink(missing_ok=True)


class Checkpoints(CheckpointStore[StateDict]):
    """The checkpoints of a run that the engine executes in this process.

    Args:
        directory: as for `CheckpointStore`.
        earlier: as for `CheckpointStore`.
    """

    def __init__(self, directory: Path, earlier: Sequence[Path] = ()) -> None:
        super().__init__(TENSORS, directory, earlier)


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
