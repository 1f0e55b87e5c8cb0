"""Datasets that an operator registered from a directory of images: their cards, without PyTorch or images.

A registration is one file, `<data root>/folders/<name>.json`; jobs name the dataset `folder:<name>`.
Registering and loading is `cil_core.data.folder`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from cil_core.spec.base import Frozen
from cil_core.spec.catalog import DATASETS, DatasetCard
from cil_core.spec.data_root import PREFIX, registration_file
from cil_core.spec.errors import DataError, DataUnavailable

__all__ = ["PREFIX", "Registration", "card", "cards", "registration", "registration_file"]


class Registration(Frozen):
    """A directory of images as it was registered."""

    path: str = Field(
        description="The directory, with `train/` and `test/` in it unless a split file says otherwise."
    )
    split_file: str | None = Field(default=None, description="CSV with the columns path, class, split.")
    resize: bool = Field(
        description="Whether images of other sizes are scaled and cropped; otherwise they are refused."
    )
    class_names: tuple[str, ...] = Field(description="In the order of their numbers.")
    card: DatasetCard
    background: str | None = Field(
        default=None,
        description="Colour for transparent pixels; None for a registration of an earlier version, whose "
        "files are listed and decoded by that version's rules.",
    )
    skipped: dict[str, int] = Field(default={}, description="What was not used, counted by kind.")
    converted: dict[str, int] = Field(default={}, description="Images whose pixels were converted, by kind.")


def registration(name: str, data_root: Path) -> Registration:
    """What was registered as `name` (without prefix).

    Raises:
        DataUnavailable: this machine has no such registration.
        DataError: its file is damaged.
    """
    file = registration_file(name, data_root)
    try:
        return Registration.model_validate_json(file.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.json"))) or "none"
        raise DataUnavailable(
            f"no folder dataset {name!r} is registered in {file.parent}; registered: {known}"
        ) from None
    except (OSError, ValidationError) as error:
        raise DataError(f"the registration {file} is damaged: {error}") from error


def card(name: str, data_root: Path) -> DatasetCard:
    """The card of a dataset, as a track names it.

    Raises:
        DataError: it is neither built in nor registered here, or its registration is damaged.
    """
    known = cards(data_root)
    if name not in known:
        raise DataError(f"unknown dataset {name!r}; known here: {', '.join(sorted(known))}")
    return known[name]


def cards(data_root: Path) -> dict[str, DatasetCard]:
    """Every dataset that can be named here: the built-in ones and the registered folders.

    Raises:
        DataError: if a registration is damaged.
    """
    names = sorted(path.stem for path in (data_root / "folders").glob("*.json"))
    return DATASETS | {PREFIX + name: registration(name, data_root).card for name in names}
