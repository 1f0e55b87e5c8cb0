"""Decoding the photographs of local directories into the arrays of a dataset."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import torch

from cil_core.data import prepared
from cil_core.data.photographs import Photographs, decode_photographs
from cil_core.data.source import Arrays, Source
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.download import Progress

Numbered = Sequence[tuple[Path, int]]
"""Files with their labels."""


def decode_splits(
    card: DatasetCard, files: Mapping[str, Numbered], arrays: Path
) -> Generator[Progress, None, None]:
    """Decode the files of `train` and `test`, and commit them as the prepared dataset in `arrays`.

    Args:
        card: of the dataset, with the numbers of images found.
        files: by split.
        arrays: where the dataset is prepared; the caller holds its lock.

    Raises:
        DataError: names the first file that cannot be decoded.
    """
    train, test = files["train"], files["test"]
    with prepared.unfinished(arrays) as directory:
        train_kept = yield from _decoded(train, directory / "train_images.npy", card)
        test_kept = yield from _decoded(test, directory / "test_images.npy", card)
        found = Arrays(
            train_kept.pixels,
            torch.tensor([label for _, label in train]),
            test_kept.pixels,
            torch.tensor([label for _, label in test]),
            train_kept.shapes,
            test_kept.shapes,
        )
        prepared.commit(arrays, Source(card, found).arrays)


def _decoded(files: Numbered, target: Path, card: DatasetCard) -> Generator[Progress, None, Photographs]:
    pieces = decode_photographs([path for path, _ in files], target, card)
    while True:
        try:
            yield Progress(target.stem, next(pieces), len(files), "images")
        except StopIteration as finished:
            photographs: Photographs = finished.value
            return photographs
