"""Frozen features: a dataset goes through a pre-trained network once, and runs share what comes out.

`extract` is the only producer. A run without the cache calls it in memory, so that both have equal bits.

Decisions:
    * Images go through in the dataset's own order, in batches of one size, the last one padded: the result
      does not depend on protocol, class order or seed.
    * The key of a cached pair of arrays covers all that their bits depend on: file, card, data, preparation,
      precision, batch size, versions, device and threads. Other bits are another key, never an update.
    * Processes that need the same features wait for each other. Waiting and extracting report progress, so
      that neither looks like a run that hangs.
    * The engine deletes nothing; an operator may delete any directory of `<data root>/features`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from cil_core.data import prepared
from cil_core.data.order import whole_datasets
from cil_core.data.source import Source
from cil_core.engine.first_task import rounding
from cil_core.engine.machine import Machine
from cil_core.nets.backbones import PRECISIONS
from cil_core.nets.pretrained import pretrained_backbone
from cil_core.spec.base import canonical_json
from cil_core.spec.data_root import MANIFEST
from cil_core.spec.errors import DataError, DataUnavailable
from cil_core.spec.events import EpochFinished
from cil_core.spec.weights_files import WeightsFile

FEATURES_VERSION = 1
"""Raised when the same inputs yield other bits."""

BATCH = 256
REPORTS = 50
"""Reports of progress for the whole dataset, at most."""

WAIT_SECONDS = 60.0

Progress = Generator[EpochFinished, None, "Features"]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Features of a whole dataset, on the CPU.

    Args:
        train: float32 (N, d), row i of training image i.
        test: float32 (M, d).
    """

    train: Tensor
    test: Tensor

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each array, by name."""
        return {
            name: hashlib.sha256(array.contiguous().numpy().data).hexdigest()
            for name, array in (("train", self.train), ("test", self.test))
        }

    @property
    def sha256(self) -> str:
        """One digest of both: equal ones mean equal features to the last bit."""
        return hashlib.sha256(canonical_json(self.digests).encode()).hexdigest()


def frozen_features(source: Source, weights: WeightsFile, precision: str, machine: Machine) -> Progress:
    """The features of a dataset: read if this machine has them, extracted and kept otherwise.

    Args:
        source: the dataset with the weights' preparation on its card.
        weights: of the network.
        precision: `fp32` or `bf16`.
        machine: where features are kept, and where they are extracted.

    Yields:
        Progress, as epochs of a phase `features`.

    Raises:
        DataError: the file does not hold these weights, or kept features are damaged.
        DataUnavailable: the disk is full.
    """
    if not machine.keep_features:
        return (yield from extract(source, weights, precision, machine.device))
    about = description(source, weights, precision, machine.device)
    key = hashlib.sha256(canonical_json(about).encode()).hexdigest()
    directory = machine.data_root / "features" / key
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory.parent / f".{key}.lock")
    while True:
        try:
            lock.acquire(timeout=WAIT_SECONDS)
            break
        except Timeout:
            yield _report(0, 1)
    try:
        if not (directory / MANIFEST).is_file():
            started = time.monotonic()
            found = yield from extract(source, weights, precision, machine.device)
            _write(directory, found, {"key": about, "seconds": round(time.monotonic() - started, 3)})
        return _read(directory)
    finally:
        lock.release()


def extract(source: Source, weights: WeightsFile, precision: str, device: str) -> Progress:
    """Send every image through the network: fixed batches in the dataset's order, evaluation mode.

    Args:
        source: the dataset with the weights' preparation on its card.
        weights: of the network.
        precision: `fp32` or `bf16`.
        device: `cpu` or `cuda:N`.

    Yields:
        Progress, as epochs of a phase `features`.
    """
    backbone = pretrained_backbone(weights)
    backbone.compute_in(PRECISIONS[precision])
    backbone.to(device)
    splits = [data.to(device) for data in whole_datasets(source, torch.arange(source.card.classes))]
    total = sum(-(-len(data) // BATCH) for data in splits)
    done, found = 0, []
    for data in splits:
        rows = torch.empty(len(data), backbone.feature_dim)
        for start, (_, raw) in zip(
            range(0, len(data), BATCH), data.read_batches(_batches(len(data))), strict=True
        ):
            rows[start : start + BATCH] = _one_batch(backbone, data.transform.plain(raw))[: len(data) - start]
            done += 1
            if done % -(-total // REPORTS) == 0:
                yield _report(done, total)
        found.append(rows)
    return Features(*found)


def _batches(count: int) -> list[Tensor]:
    """All positions in batches of one size; the last one repeats the last position."""
    full = -(-count // BATCH) * BATCH
    return list(torch.arange(full).clamp(max=count - 1).split(BATCH))


@torch.no_grad()
def _one_batch(backbone: torch.nn.Module, x: Tensor) -> Tensor:
    """Features of prepared images, on the CPU; convolutions and products without TF32."""
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            features: Tensor = backbone(x)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
    return features.cpu()


def description(source: Source, weights: WeightsFile, precision: str, device: str) -> dict[str, Any]:
    """All that the bits of features depend on."""
    card = weights.card
    return {
        "weights": weights.sha256,
        "card": card.model_dump(
            mode="json",
            include={
                "library_name",
                "architecture",
                "arguments",
                "layout",
                "drops",
                "renames",
                "pixels",
                "feature",
            },
        ),
        "data": source.arrays.digests,
        "channels": source.card.channels,
        "precision": precision,
        "batch": BATCH,
        "version": FEATURES_VERSION,
        "libraries": {name: version(name) for name in ("torch", card.library)},
        "device": rounding(torch.device(device)),
    }


def _report(done: int, total: int) -> EpochFinished:
    return EpochFinished(task=0, phase="features", epoch=max(0, done - 1), epochs=total, lr=0.0, losses={})


def _write(directory: Path, features: Features, about: dict[str, Any]) -> None:
    with prepared.unfinished(directory) as place:
        try:
            for name in ("train", "test"):
                np.save(place / f"{name}.npy", getattr(features, name).numpy())
            manifest = {**about, "sha256": features.digests}
            (place / MANIFEST).write_text(json.dumps(manifest, indent=1))
            place.rename(directory)
        except OSError as error:
            raise DataUnavailable(f"cannot write {directory}: {error.strerror or error}") from error


def _read(directory: Path) -> Features:
    """Kept features, checked byte for byte."""
    try:
        expected = json.loads((directory / MANIFEST).read_text())["sha256"]
        arrays = {
            name: torch.from_numpy(np.load(directory / f"{name}.npy", mmap_mode="c", allow_pickle=False))
            for name in ("train", "test")
        }
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(
            f"{directory} is damaged: {error}; delete it to extract the features again"
        ) from error
    features = Features(**arrays)
    for name, digest in features.digests.items():
        if digest != expected.get(name):
            raise DataError(
                f"{directory / name}.npy is damaged: its SHA-256 is {digest}, not {expected.get(name)}; "
                f"delete {directory} to extract the features again"
            )
    return features
