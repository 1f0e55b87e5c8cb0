"""`folder:<name>`: an operator's own images, registered once and then as fixed as any published dataset.

    PATH/train/<class>/….jpg   PATH/test/<class>/….jpg     or a split file: path, class, train or test

Decisions:
    * Registering decodes every file and states class count, size, normalisation and augmentation on a card
      whose fingerprint covers the pixels. Two machines agree on a track exactly if their fingerprints agree.
    * The decoded arrays are kept; runs read them, not the files, so a file that changes later changes no
      result. `verify` compares.
    * Classes are numbered in the order of their names: as numbers if all are, else as text. A registration
      keeps its numbering.
    * The rules of listing and decoding may improve, but never for what is registered: without a background in
      its registration, a folder is read as the version read it that had none.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from PIL import ImageColor
from pydantic import Field

from cil_core.data import prepared
from cil_core.data.alarms import alarms
from cil_core.data.augment import Transform
from cil_core.data.folder_images import decoded, first_change, statistics
from cil_core.data.images import side
from cil_core.data.listing import Found, list_images, numbered
from cil_core.data.pixels import TRANSPARENT, Colour
from cil_core.data.source import Arrays, Source
from cil_core.data.split_file import SPLITS
from cil_core.spec.atomic_write import write_atomically
from cil_core.spec.base import Frozen, Line
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.data_root import PREFIX, arrays_directory, is_local, registration_file
from cil_core.spec.errors import DataError
from cil_core.spec.folder_datasets import Registration, registration

_NAME = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")


class Preparation(Frozen):
    """What an operator states about a directory of images; the rest is measured."""

    title: Line | None = Field(default=None, description="By default the name.")
    size: int | None = Field(
        default=None,
        ge=4,
        le=1024,
        description="Side to which all images are resized; without it they must all have one size.",
    )
    shorter_side: int | None = Field(
        default=None,
        ge=4,
        le=2048,
        description="Keeps photographs whole, with this shorter side; training crops them at random and "
        "testing around the centre.",
    )
    kernel: Literal["bilinear", "bicubic"] = Field(
        default="bicubic", description="With which whole photographs are scaled."
    )
    channels: int = Field(default=3, description="1: grey, 3: colour.")
    background: str = Field(
        default="white", description="Colour on which transparent pixels are placed, e.g. black or #8080ff."
    )
    augment: tuple[str, ...] = Field(
        default=("flip",), description="Training augmentations, e.g. crop:4, flip, brightness:0.25."
    )
    mean: tuple[float, ...] | None = Field(
        default=None,
        description="Per channel, as a fraction of 255; measured on the training images by default.",
    )
    std: tuple[float, ...] | None = None
    classes: int | None = Field(
        default=None, ge=2, description="How many classes are expected; fewer or more are refused."
    )
    citation: str = "not stated"
    licence: str = "not stated"


def register(
    name: str, path: Path, data_root: Path, preparation: Preparation, *, split_file: Path | None = None
) -> Registration:
    """Make a directory of images the dataset `folder:<name>`. Idempotent.

    Args:
        name: lower-case letters, digits, `_` and `-`.
        path: the directory.
        data_root: where registrations and decoded arrays are kept.
        preparation: size, channels, background, augmentation, normalisation.
        split_file: states class and split of each file, instead of `train/` and `test/`.

    Raises:
        DataError: names the file that is missing, damaged or of another size, or says what does not fit.
    """
    background = _check(name, preparation)
    found = list_images(path, split_file)
    class_names = numbered((label for _, label in found.files["train"]), _numbered_before(name, data_root))
    if preparation.classes not in {None, len(class_names)}:
        names = ", ".join(class_names[:20]) + (" …" if len(class_names) > 20 else "")
        raise DataError(
            f"{path} has images of {len(class_names)} classes, not {preparation.classes}: {names}"
        )
    arrays = arrays_directory(PREFIX + name, data_root)
    with prepared.lock(arrays), prepared.unfinished(arrays) as directory:
        source, notes = _prepared(name, found, class_names, preparation, background, directory)
        new = Registration(
            path=str(path.resolve()),
            split_file=str(split_file.resolve()) if split_file else None,
            resize=preparation.size is not None,
            class_names=class_names,
            card=source.card.model_copy(update={"fingerprint": source.fingerprint}),
            background=_hexadecimal(background),
            skipped=dict(sorted(found.skipped.items())),
            converted=dict(sorted(notes.items())),
        )
        _save(name, new, source, data_root)
    return new


def _prepared(
    name: str,
    found: Found,
    class_names: tuple[str, ...],
    preparation: Preparation,
    background: Colour,
    directory: Path,
) -> tuple[Source, Counter[str]]:
    """The decoded images with their card, and how often each conversion was applied."""
    size = preparation.size or side(found.files["train"][0][0])
    card = _bare_card(name, preparation, len(class_names), size)
    notes: Counter[str] = Counter()
    resize = preparation.size is not None
    arrays = decoded(
        found.files, class_names, card, directory, resize=resize, background=background, notes=notes
    )
    card = _measured(card, arrays, class_names)
    if notes[TRANSPARENT]:
        card = card.model_copy(update={"background": _hexadecimal(background)})
    return Source(card, arrays), notes


def load(name: str, data_root: Path) -> Source:
    """The dataset registered as `name` (without prefix).

    Raises:
        DataError: if it is not registered, damaged, or no longer the one that was registered.
    """
    registered = registration(name, data_root)
    arrays = arrays_directory(PREFIX + name, data_root)
    with prepared.lock(arrays):
        if not is_local(PREFIX + name, data_root):
            with prepared.unfinished(arrays) as directory:
                found = _source(registered, directory)
                _check_fingerprint(registered, found, registered.path)
                prepared.commit(arrays, found.arrays)
    source = prepared.read(arrays, registered.card)
    _check_fingerprint(registered, source, str(arrays))
    return source


def verify(name: str, data_root: Path) -> Registration:
    """Decode the operator's files again and compare them with what was registered.

    Raises:
        DataError: names the first file that changed, or says what is missing.
    """
    registered = registration(name, data_root)
    stored = load(name, data_root).arrays
    listing = _found(registered).files
    with TemporaryDirectory(dir=registration_file(name, data_root).parent) as directory:
        found = _source(registered, Path(directory))
        for split in SPLITS:
            changed = first_change(stored, found.arrays, split, registered.card.channels)
            if changed:
                raise DataError(
                    f"{listing[split][changed[0]][0]} is not the image that was registered; {changed[1]} "
                    f"{split} images differ"
                )
        _check_fingerprint(registered, found, registered.path)
    return registered


def _check(name: str, preparation: Preparation) -> Colour:
    """The background, if name and preparation are in order."""
    if not _NAME.fullmatch(name):
        raise DataError(f"a dataset's name consists of lower-case letters, digits, '_' and '-', not {name!r}")
    if preparation.shorter_side is not None and preparation.shorter_side < (preparation.size or 2048):
        raise DataError(
            "whole photographs need a shorter side of at least the size that the network sees; given: "
            f"shorter side {preparation.shorter_side}, size {preparation.size or 'not stated'}"
        )
    if preparation.channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, not {preparation.channels}")
    try:
        return _colour(preparation.background)
    except ValueError as error:
        raise DataError(
            f"background {preparation.background!r} is no colour; give a name such as white, or #rrggbb"
        ) from error


def _colour(text: str) -> Colour:
    red, green, blue = ImageColor.getrgb(text)[:3]
    return red, green, blue


def _hexadecimal(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


def _numbered_before(name: str, data_root: Path) -> tuple[str, ...] | None:
    """The class names of an earlier registration under this name, which keep their numbers."""
    if not registration_file(name, data_root).exists():
        return None
    return registration(name, data_root).class_names


def _save(name: str, new: Registration, source: Source, data_root: Path) -> None:
    file = registration_file(name, data_root)
    if file.exists():
        old = registration(name, data_root)
        if old.card.fingerprint != new.card.fingerprint:
            raise DataError(
                f"folder:{name} is already registered from {old.path} with other content; choose another "
                f"name, or delete {file} if nothing depends on it"
            )
    prepared.commit(arrays_directory(PREFIX + name, data_root), source.arrays)
    write_atomically(file, new.model_dump_json(indent=1))


def _source(registered: Registration, directory: Path) -> Source:
    """The operator's files, decoded as they were registered."""
    card = registered.card
    files = _found(registered).files
    class_names = numbered((label for _, label in files["train"]), registered.class_names)
    if class_names != registered.class_names:
        raise DataError(
            f"{registered.path} has the classes {', '.join(class_names)}; "
            f"registered were {', '.join(registered.class_names)}"
        )
    arrays = decoded(
        files,
        class_names,
        card,
        directory,
        resize=registered.resize,
        background=None if registered.background is None else _colour(registered.background),
        notes=Counter(),
    )
    return Source(card, arrays)


def _found(registered: Registration) -> Found:
    return list_images(
        Path(registered.path),
        Path(registered.split_file) if registered.split_file else None,
        as_before=registered.background is None,
    )


def _check_fingerprint(registered: Registration, source: Source, place: str) -> None:
    if source.fingerprint != registered.card.fingerprint:
        raise DataError(
            f"{place} is not what was registered as {registered.card.name}: fingerprint "
            f"{source.fingerprint}, not {registered.card.fingerprint}"
        )


def _bare_card(name: str, preparation: Preparation, classes: int, size: int) -> DatasetCard:
    """What the operator states; nothing is measured yet."""
    kept = {} if preparation.shorter_side is None else {"stored": preparation.shorter_side, "whole": True}
    return DatasetCard(
        name=PREFIX + name,
        title=preparation.title or name,
        classes=classes,
        channels=preparation.channels,
        size=size,
        kernel=preparation.kernel if kept else "bilinear",
        train_images=0,
        test_images=0,
        mean=preparation.mean or (),
        std=preparation.std or (),
        augment=preparation.augment,
        citation=preparation.citation,
        licence=preparation.licence,
        **kept,
    )


def _measured(card: DatasetCard, arrays: Arrays, class_names: tuple[str, ...]) -> DatasetCard:
    """The card with what its images say."""
    mean, std = statistics(arrays, card.channels)
    classes = len(class_names)
    measured = {
        "train_images": len(arrays.train_labels),
        "test_images": len(arrays.test_labels),
        "mean": card.mean or tuple(round(value, 4) for value in mean),
        "std": card.std or tuple(round(max(value, 1 / 255), 4) for value in std),
        "class_names": class_names,
        "train_per_class": tuple(torch.bincount(arrays.train_labels, minlength=classes).tolist()),
        "test_per_class": tuple(torch.bincount(arrays.test_labels, minlength=classes).tolist()),
        "warnings": alarms(arrays, mean, std) or None,
    }
    card = card.model_copy(update=measured)
    try:
        Transform(card)
    except ValueError as error:
        raise DataError(f"{card.name}: {error}") from error
    return card
