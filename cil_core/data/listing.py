"""Which file is an image of which class and split: from directories, or from a split file.

Decisions:
    * What is not used is counted by kind and reported: hidden files at every depth, other files than
      pictures, folders that are reached twice.
    * Links to files and folders are followed. Within a class each real folder is read once, so that a loop
      ends.
    * Class names are compared in Unicode's composed form (NFC): file systems differ in how they write é.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cil_core.data import split_file as table
from cil_core.data.images import EXTENSIONS, is_picture, readable
from cil_core.data.split_file import SPLITS
from cil_core.spec.errors import DataError, DataUnavailable

Listing = dict[str, list[tuple[Path, str]]]
"""For `train` and `test`: files with their class names, sorted."""

_LEFTOVERS = frozenset(
    {"@eaDir", "__MACOSX", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
)
"""Folders that network drives and other systems leave behind."""

_NOT_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that no class name may contain: control characters, line breaks, bytes that are not
UTF-8.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The images of a dataset, and what was skipped, counted by kind."""

    files: Listing
    skipped: Counter[str] = field(default_factory=Counter)


def list_images(path: Path, split_file: Path | None = None, *, as_before: bool = False) -> Found:
    """Every image of a dataset.

    Args:
        path: holds `train/<class>/` and `test/<class>/`, with files at any depth below.
        split_file: table with the columns path (below `path`), class, split (train or test); replaces the
            directories.
        as_before: list directories as earlier versions did, for what they registered.

    Raises:
        DataError: names the directory or class that is missing or empty, or the line of the split file.
    """
    found = _listed(path, split_file, as_before=as_before)
    names = {split: {name for _, name in files} for split, files in found.files.items()}
    for here, there in (SPLITS, SPLITS[::-1]):
        lacking = sorted(names[there] - names[here])
        if lacking:
            raise DataError(
                f"{split_file or path / here}: no {here} image of class {', '.join(lacking[:10])}"
            )
    if len(names["train"]) < 2:
        raise DataError(f"{split_file or path} has {len(names['train'])} class(es); at least 2 are needed")
    return found


def numbered(names: Iterable[str], before: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Class names in the order of their numbers: as numbers if all are numeric, otherwise as text.

    `before` keeps its order if it names the same classes.
    """
    distinct = set(names)
    if before is not None and set(before) == distinct:
        return before
    if all(name.isascii() and name.isdigit() for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (int(name), name)))
    return tuple(sorted(distinct))


def _listed(path: Path, split_file: Path | None, *, as_before: bool) -> Found:
    if split_file:
        return Found(_from_table(path, split_file))
    if as_before:
        return Found({split: _listed_before(path / split) for split in SPLITS})
    skipped: Counter[str] = Counter()
    files = {split: _from_directories(path / split, skipped) for split in SPLITS}
    for entry in _entries(path):
        if entry.name not in SPLITS and not _is_hidden(entry.name):
            skipped[
                f"folder {entry.name} beside train and test"
                if entry.is_dir()
                else "file beside train and test"
            ] += 1
    return Found(files, skipped)


def _from_directories(directory: Path, skipped: Counter[str]) -> list[tuple[Path, str]]:
    _check_directory(directory)
    files: list[tuple[Path, str]] = []
    for entry in _entries(directory):
        if _is_hidden(entry.name):
            skipped[_hidden(entry)] += 1
        elif entry.is_dir():
            name, inside = _class_name(entry.name, entry.path), Counter[str]()
            images = sorted(_images(entry, [directory.parent, directory], inside))
            if not images:
                raise DataError(f"{entry.path} holds no image" + _in_words(inside))
            files += [(image, name) for image in images]
            skipped += inside
        elif entry.is_symlink() and not entry.is_file():
            raise DataUnavailable(_broken(entry))
        else:
            skipped["file beside the class folders"] += 1
    return files


def _images(top: os.DirEntry[str], above: list[Path], skipped: Counter[str]) -> Iterator[Path]:
    """Every image file of a class, at any depth; `above` are folders that no link may lead back to."""
    seen = {_identity(folder.stat()) for folder in above} | {_identity(top.stat())}
    waiting = [top.path]
    while waiting:
        for entry in _entries(waiting.pop()):
            ending = _ending(entry.name)
            if _is_hidden(entry.name):
                skipped[_hidden(entry)] += 1
            elif entry.is_dir():
                identity = _identity(entry.stat())
                if identity in seen:
                    skipped["link to a folder that is read already"] += 1
                else:
                    seen.add(identity)
                    waiting.append(entry.path)
            elif ending not in readable():
                skipped[_other(ending)] += 1
            elif entry.is_file():
                yield Path(entry.path)
            elif entry.is_symlink():
                raise DataUnavailable(_broken(entry))
            else:
                skipped["pipe, socket or device"] += 1


def _entries(directory: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataUnavailable(f"{directory} cannot be listed: {error.strerror}") from error
    for entry in found:
        if entry.is_symlink() and not _is_hidden(entry.name) and _is_loop(entry):
            raise DataUnavailable(_broken(entry))
    return found


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise DataUnavailable(
            f"{directory} is not a directory; it holds one directory of images per class"
            + _beside(directory.parent)
        )


def _beside(directory: Path) -> str:
    """What is found instead of a missing directory."""
    if not directory.is_dir():
        return f", and {directory} does not exist"
    names = [entry.name for entry in _entries(directory) if not _is_hidden(entry.name)]
    found = ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")
    return f". {directory} holds {found or 'nothing'}"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return name[0] == "." or name in _LEFTOVERS


def _hidden(entry: os.DirEntry[str]) -> str:
    return f"hidden folder {entry.name}" if entry.is_dir() else "hidden file"


def _ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return (dot + ending).lower() if stem else ""


def _is_loop(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a link that leads back to itself, and so has no target."""
    try:
        entry.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def _broken(entry: os.DirEntry[str]) -> str:
    target = Path(entry.path).readlink()
    fault = "leads back to it" if _is_loop(entry) else "does not exist"
    return f"{entry.path} is a link to {target}, which {fault}"


def _other(ending: str) -> str:
    if is_picture(ending):
        return f"picture in a format that cannot be read ({ending})"
    return f"other file ({ending})" if ending else "file without an ending"


def _in_words(skipped: Counter[str]) -> str:
    return (
        "; skipped: " + ", ".join(f"{count} × {kind}" for kind, count in skipped.items()) if skipped else ""
    )


def _class_name(name: str, place: object) -> str:
    if any(unicodedata.category(character) in _NOT_IN_NAMES for character in name):
        raise DataError(f"{str(place)!r}: a class name has no control characters and is UTF-8")
    return unicodedata.normalize("NFC", name)


def _from_table(path: Path, split_file: Path) -> Listing:
    listing: Listing = {split: [] for split in SPLITS}
    for row in table.rows(split_file):
        name = _class_name(row.label, f"{split_file}, line {row.line}")
        listing[row.split].append((path / row.path, name))
    return {split: sorted(files) for split, files in listing.items()}


def _listed_before(directory: Path) -> list[tuple[Path, str]]:
    """The listing of earlier versions: no links to folders, hidden folders inside a class included."""
    _check_directory(directory)
    return [
        (file, entry.name)
        for entry in sorted(directory.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
        for file in sorted(entry.rglob("*"))
        if file.suffix.lower() in EXTENSIONS and file.name[0] != "."
    ]
