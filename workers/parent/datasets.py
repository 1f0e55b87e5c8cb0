"""Registration of folder datasets with the service, so that jobs may name them."""

from __future__ import annotations

from pathlib import Path

from cil_core.spec import folder_datasets
from cil_core.spec.data_root import PREFIX
from store.database.session import Database
from store.datasets import register_dataset


def announce(database: Database, data_root: Path) -> tuple[str, ...]:
    """Register every folder dataset of this machine with the service. Idempotent.

    Raises:
        DataError: a registration is damaged.
        AlreadyExists: the service has other data under one of the names.
    """
    known = tuple(card for name, card in folder_datasets.cards(data_root).items() if name.startswith(PREFIX))
    with database.transaction() as session:
        for card in known:
            register_dataset(session, card, str(card.fingerprint))
    return tuple(card.name for card in known)
