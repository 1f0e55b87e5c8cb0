"""Folder datasets that an operator registered: their cards and fingerprints.

The images stay with the workers.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from cil_core.spec.catalog import DATASETS, DatasetCard
from store.database.errors import AlreadyExists, NotFound
from store.database.models import Dataset
from store.database.upsert import insert_if_absent

_LEARNT_LATER = ("class_names", "train_per_class", "test_per_class", "background", "warnings")
"""Fields that cards of earlier versions lack; they follow from the images, which the fingerprint covers."""


def register_dataset(session: Session, card: DatasetCard, fingerprint: str) -> Dataset:
    """Register a folder dataset. Idempotent; fields that the stored card lacks are completed.

    Raises:
        ValueError: the name does not start with `folder:`.
        AlreadyExists: the name belongs to other data.
    """
    if not card.name.startswith("folder:"):
        raise ValueError(f"a registered dataset is named 'folder:<name>', not {card.name!r}")
    insert_if_absent(
        session, Dataset, name=card.name, card=card.model_dump(mode="json"), fingerprint=fingerprint
    )
    row = session.get_one(Dataset, card.name)
    known = DatasetCard.model_validate(row.card)
    missing = {name for name in _LEARNT_LATER if getattr(known, name) is None}
    complete = known.model_copy(update={name: getattr(card, name) for name in missing})
    given = card.model_copy(
        update={name: getattr(known, name) for name in _LEARNT_LATER if getattr(card, name) is None}
    )
    if row.fingerprint != fingerprint or complete != given:
        raise AlreadyExists(
            f"{card.name} is registered with the fingerprint {row.fingerprint};"
            f" register data with the fingerprint {fingerprint} under another name"
        )
    if complete != known:
        row.card = complete.model_dump(mode="json")
    return row


def dataset_cards(session: Session) -> dict[str, DatasetCard]:
    """The built-in datasets and the registered ones, by name."""
    registered = session.scalars(select(Dataset).order_by(Dataset.name))
    return DATASETS | {row.name: DatasetCard.model_validate(row.card) for row in registered}


def dataset_card(session: Session, name: str) -> DatasetCard:
    """The card of a dataset.

    Raises:
        NotFound: it is neither built in nor registered.
    """
    if name in DATASETS:
        return DATASETS[name]
    row = session.get(Dataset, name)
    if row is None:
        raise NotFound(f"no dataset is named {name!r}")
    return DatasetCard.model_validate(row.card)


def fingerprint_of(session: Session, name: str) -> str | None:
    """The fingerprint of a registered dataset; None for a built-in one."""
    if name in DATASETS:
        return None
    return session.scalars(select(Dataset.fingerprint).where(Dataset.name == name)).one_or_none()
