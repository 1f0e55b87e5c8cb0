"""Which file is an image of which class and split: from directories, or from a table."""

from __future__ import annotations

import csv
from pathlib import Path

from cil_core.data.images import EXTENSIONS
from cil_core.spec.errors import DataError

Listing = dict[str, list[tuple[Path, str]]]
"""For `train` and `test`: files with their class names, sorted."""


def list_images(path: Path, split_file: Path | None = None) -> Listing:
    """Every image of a dataset.

    Args:
        path: holds `train/<class>/` and `test/<class>/`, with files at any depth below; other files than images are passed over.
        split_file: CSV with the columns path (below `path`), class, split (train or test); replaces the directories.

    Raises:
        DataError: names the directory or class that is missing or empty.
    """
    listing = (
        _from_table(path, split_file)
        if split_file
        else {split: _from_directories(path / split) for split in ("train", "test")}
    )
    names = {split: {name for _, name in files} for split, files in listing.items()}
    for here, there in (("train", "test"), ("test", "train")):
        lacking = sorted(names[there] - names[here])
        if lacking:
            raise DataError(
                f"{split_file or path / here}: no {here} image of class {', '.join(lacking[:10])}"
            )
    if len(names["train"]) < 2:
        raise DataError(f"{split_file or path} has {len(names['train'])} class(es); at least 2 are needed")
    return listing


def _from_directories(directory: Path) -> list[tuple[Path, str]]:
    if not directory.is_dir():
        raise DataError(f"{directory} is not a directory; it holds one directory of images a class")
    classes = sorted(
        entry for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    files = [
        (file, entry.name)
        for entry in classes
        for file in sorted(entry.rglob("*"))
        if file.suffix.lower() in EXTENSIONS and file.name[0] != "."
    ]
    empty = sorted({entry.name for entry in classes} - {name for _, name in files})
    if empty:
        raise DataError(f"{directory / empty[0]} holds no image")
    return files


def _from_table(path: Path, split_file: Path) -> Listing:
    listing: Listing = {"train": [], "test": []}
    try:
        with split_file.open(newline="") as file:
            for row in csv.DictReader(file, strict=True):
                listing[row["split"]].append((path / row["path"], row["class"]))
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{split_file} cannot be read as CSV with the columns path, class, split (train or test): {error!r}"
        ) from error
    return {split: sorted(files) for split, files in listing.items()}
