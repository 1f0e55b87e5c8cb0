"""The datasets of this machine: which there are, fetching and checking them, and telling the service of registered folders.

Decision: PyTorch is imported by what reads images only, since the process that supervises runs announces folders too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cil_core import folders, layout
from cil_core.catalog import DATASETS, DatasetCard
from cil_core.errors import DataError
from store.datasets import register_dataset
from store.session import Database

if TYPE_CHECKING:
    from cil_core.data.download import Progress


def fetch(name: str, data_root: Path) -> Iterator[Progress]:
    """Download and decode a published dataset unless it is here; ImageNet is decoded from the operator's directory.

    Raises:
        DataError: it does not exist, a host cannot be reached, or a file is damaged or missing.
    """
    from cil_core.data import provider  # noqa: PLC0415 — see above

    card = _known(name, data_root)
    if name in DATASETS and name not in layout.INCLUDED:
        yield from provider(name).fetch(card, data_root)


def verify(name: str, data_root: Path) -> str:
    """Check a dataset byte for byte: a folder against its registration, a published one against what was decoded. Returns its fingerprint.

    Raises:
        DataError: names the file that is missing, damaged or changed.
    """
    from cil_core.data import folder, loader  # noqa: PLC0415 — see above

    card = _known(name, data_root)
    if name.startswith(layout.PREFIX):
        registered = folder.verify(name.removeprefix(layout.PREFIX), data_root)
        return str(registered.card.fingerprint)
    if not layout.is_here(name, data_root):
        raise DataError(f"{name} is not on this machine; `cil data fetch {name}` gets it")
    return loader(name)(card, data_root).fingerprint


def announce(database: Database, data_root: Path) -> tuple[str, ...]:
    """Make every registered folder known to the service, so that jobs may name it. Doing it twice changes nothing.

    Raises:
        DataError: a registration is damaged.
        AlreadyExists: the service knows other data under one of the names.
    """
    known = tuple(card for name, card in folders.cards(data_root).items() if name.startswith(layout.PREFIX))
    with database.transaction() as session:
        for card in known:
            register_dataset(session, card, str(card.fingerprint))
    return tuple(card.name for card in known)


def _known(name: str, data_root: Path) -> DatasetCard:
    cards = folders.cards(data_root)
    if name not in cards:
        raise DataError(f"unknown dataset {name!r}; known here: {', '.join(sorted(cards))}")
    return cards[name]
