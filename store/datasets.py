"""Folder datasets that an operator registered: their cards and fingerprints.

The images stay with the workers.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from cil_core.spec.catalog import DATASETS, DatasetCard
from store.database.errors import AlreadyExists
from store.database.models import Dataset
from store.database.upsert import insert_if_absent


def register_dataset(session: Session, card: DatasetCard, fingerprint: str) -> Dataset:
    """Register a folder dataset. Idempotent.

    Raises:
        ValueError: the name does not start with `folder:`.
        AlreadyExists: the name belongs to other data.
    """
    if not card.name.startswith("folder:"):
        raise ValueError(f"a registered dataset is named 'folder:<name>', not {card.name!r}")
    insert_if_absent(
        session, Dataset, name=card.name, card=card.model_dump(mode="json"), fingerprint=fingerprint
    )
    known = session.get_one(Dataset, card.name)
    if known.fingerprint != fingerprint or DatasetCard.model_validate(known.card) != card:
        raise AlreadyExists(
            f"{card.name} is registered with the fingerprint {known.fingerprint};"
            f" register data with the fingerprint {fingerprint} under another name"
        )
    return known


def dataset_cards(session: Session) -> dict[str, DatasetCard]:
    """The built-in datasets and the registered ones, by name."""
    registered = session.scalars(select(Dataset).order_by(Dataset.name))
    return DATASETS | {row.name: DatasetCard.model_validate(row.card) for row in registered}


def fingerprint_of(session: Session, name: str) -> str | None:
    """The fingerprint of a registered dataset; None for a built-in one."""
    if name in DATASETS:
        return None
    return session.scalars(select(Dataset.fingerprint).where(Dataset.name == name)).one_or_none()
