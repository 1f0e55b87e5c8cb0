"""Where datasets lie below a data root. Torch-free, so that listing them is quick.

<data root>/cifar100/                     archives and what was unpacked from them
<data root>/cifar100/arrays/              the decoded images of a published dataset
<data root>/folders/pets.json             the registration of folder:pets
<data root>/folders/pets/                 its decoded images
"""

from __future__ import annotations

from pathlib import Path

PREFIX = "folder:"
MANIFEST = "manifest.json"
INCLUDED = frozenset({"digits"})
"""Datasets that come with the installation."""
SAME_IMAGES = {"cifar224": "cifar100"}
"""Datasets that differ from another one in preparation alone; both share the files."""


def arrays_directory(dataset: str, data_root: Path) -> Path:
    """Where the decoded images of a dataset are kept; `dataset` as a track names it."""
    if dataset.startswith(PREFIX):
        return data_root / "folders" / dataset.removeprefix(PREFIX)
    return files_directory(dataset, data_root) / "arrays"


def files_directory(dataset: str, data_root: Path) -> Path:
    """Where the archives of a published dataset are kept."""
    return data_root / SAME_IMAGES.get(dataset, dataset)


def registration_file(name: str, data_root: Path) -> Path:
    """Where the registration of a folder dataset (without prefix) lies."""
    return data_root / "folders" / f"{name}.json"


def is_local(dataset: str, data_root: Path) -> bool:
    """Whether a run of this dataset needs no download and no decoding."""
    return dataset in INCLUDED or (arrays_directory(dataset, data_root) / MANIFEST).is_file()
