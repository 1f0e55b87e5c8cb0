"""`folder:<name>`: an operator's own images, registered once and then as fixed as any published dataset.

    PATH/train/<class>/….jpg   PATH/test/<class>/….jpg       or a CSV file with the columns path, class, split (train or test)

Decisions:
    * Registering decodes every file and states class count, size, normalisation and augmentation on a card whose fingerprint covers the
      pixels. Two machines agree on a track exactly if their fingerprints agree.
    * The decoded arrays are kept; runs read them, not the files, so a file that changes later changes no result. `verify` compares.
    * Classes are numbered in the order of their names.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from cil_core.data import prepared
from cil_core.data.augment import Transform
from cil_core.data.images import decode, side
from cil_core.data.listing import Listing, list_images
from cil_core.data.source import Arrays, Source
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
    channels: int = Field(default=3, description="1: grey, 3: colour.")
    augment: tuple[str, ...] = Field(
        default=("flip",), description="Training augmentations, e.g. crop:4, flip, brightness:0.25."
    )
    mean: tuple[float, ...] | None = Field(
        default=None,
        description="Per channel, as a fraction of 255; measured on the training images by default.",
    )
    std: tuple[float, ...] | None = None
    classes: int | None = Field(
        default=None, ge=2, description="How many classes there are to be; fewer or more are refused."
    )
    citation: str = "not stated"
    licence: str = "not stated"


def register(
    name: str, path: Path, data_root: Path, preparation: Preparation, *, split_file: Path | None = None
) -> Registration:
    """Make a directory of images the dataset `folder:<name>`. Doing it twice changes nothing.

    Args:
        name: lower-case letters, digits, `_` and `-`.
        path: the directory.
        data_root: where registrations and decoded arrays are kept.
        preparation: size, channels, augmentation, normalisation.
        split_file: says which file is of which class and split, instead of `train/` and `test/`.

    Raises:
        DataError: names the file that is missing, damaged or of another size, or says what does not fit.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f"a dataset's name consists of lower-case letters, digits, '_' and '-', not {name!r}")
    if preparation.channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, not {preparation.channels}")
    listing = list_images(path, split_file)
    found = sorted({name for _, name in listing["train"]})
    if preparation.classes not in {None, len(found)}:
        raise DataError(
            f"{path} has images of {len(found)} classes, not {preparation.classes}: {', '.join(found[:20])}{' …' if len(found) > 20 else ''}"
        )
    size = preparation.size or side(listing["train"][0][0])
    class_names, arrays = _decoded(listing, preparation.channels, size, resize=preparation.size is not None)
    source = Source(_card(name, preparation, arrays, len(class_names), size), arrays)
    new = Registration(
        path=str(path.resolve()),
        split_file=str(split_file.resolve()) if split_file else None,
        resize=preparation.size is not None,
        class_names=class_names,
        card=source.card.model_copy(update={"fingerprint": source.fingerprint}),
    )
    _save(name, new, source, data_root)
    return new


def load(name: str, data_root: Path) -> Source:
    """The dataset registered as `name` (without prefix).

    Raises:
        DataError: if it is not registered, damaged, or no longer the one that was registered.
    """
    registered = registration(name, data_root)
    arrays = arrays_directory(PREFIX + name, data_root)
    with prepared.lock(arrays):
        if not is_local(PREFIX + name, data_root):
            found = _source(registered)
            _check_fingerprint(registered, found, registered.path)
            prepared.write(arrays, found.arrays)
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
    listing = _listing(registered)
    found = _source(registered)
    files = found.arrays
    for split, before, now in (
        ("train", stored.train_images, files.train_images),
        ("test", stored.test_images, files.test_images),
    ):
        changed = torch.nonzero((before != now).flatten(1).any(dim=1)).flatten().tolist()
        if changed:
            raise DataError(
                f"{listing[split][changed[0]][0]} is not the image that was registered; {len(changed)} {split} images differ"
            )
    _check_fingerprint(registered, found, registered.path)
    return registered


def _save(name: str, new: Registration, source: Source, data_root: Path) -> None:
    file, arrays = registration_file(name, data_root), arrays_directory(PREFIX + name, data_root)
    with prepared.lock(arrays):
        if file.exists():
            old = registration(name, data_root)
            if old.card.fingerprint != new.card.fingerprint:
                raise DataError(
                    f"folder:{name} is already registered from {old.path} with other content; choose another name, or delete {file} if nothing depends on it"
                )
        prepared.write(arrays, source.arrays)
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(new.model_dump_json(indent=1))
        unfinished.replace(file)


def _source(registered: Registration) -> Source:
    """The operator's files, decoded as they were registered."""
    card = registered.card
    listing = _listing(registered)
    class_names, arrays = _decoded(listing, card.channels, card.size, resize=registered.resize)
    if class_names != registered.class_names:
        raise DataError(
            f"{registered.path} has the classes {', '.join(class_names)}; registered were {', '.join(registered.class_names)}"
        )
    return Source(card, arrays)


def _listing(registered: Registration) -> Listing:
    return list_images(Path(registered.path), Path(registered.split_file) if registered.split_file else None)


def _check_fingerprint(registered: Registration, source: Source, place: str) -> None:
    if source.fingerprint != registered.card.fingerprint:
        raise DataError(
            f"{place} is not what was registered as {registered.card.name}: fingerprint {source.fingerprint}, not {registered.card.fingerprint}"
        )


def _decoded(listing: Listing, channels: int, size: int, *, resize: bool) -> tuple[tuple[str, ...], Arrays]:
    class_names = tuple(sorted({name for _, name in listing["train"]}))
    number = {name: index for index, name in enumerate(class_names)}
    parts: list[Tensor] = []
    for split in ("train", "test"):
        parts.append(
            decode([file for file, _ in listing[split]], channels=channels, size=size, resize=resize)
        )
        parts.append(torch.tensor([number[name] for _, name in listing[split]]))
    return class_names, Arrays(*parts)


def _card(name: str, preparation: Preparation, arrays: Arrays, classes: int, size: int) -> DatasetCard:
    mean, std = _statistics(arrays.train_images)
    card = DatasetCard(
        name=PREFIX + name,
        title=preparation.title or name,
        classes=classes,
        channels=preparation.channels,
        size=size,
        train_images=len(arrays.train_labels),
        test_images=len(arrays.test_labels),
        mean=preparation.mean or mean,
        std=preparation.std or std,
        augment=preparation.augment,
        citation=preparation.citation,
        licence=preparation.licence,
    )
    try:
        Transform(card)
    except ValueError as error:
        raise DataError(f"{card.name}: {error}") from error
    return card


def _statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel as fractions of 255, from exact counts of the 256 values."""
    values = torch.arange(256, dtype=torch.float64) / 255
    shares = (
        torch.stack(
            [torch.bincount(channel.flatten(), minlength=256) for channel in images.transpose(0, 1)]
        ).double()
        / images[:, 0].numel()
    )
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp(min=0).sqrt().clamp(min=1 / 255)
    return tuple(round(value, 4) for value in mean.tolist()), tuple(round(value, 4) for value in std.tolist())
