"""Registered folder datasets."""

from __future__ import annotations

import pytest

from cil_core.spec.catalog import DATASETS, DatasetCard
from store.database.errors import AlreadyExists
from store.database.session import Database
from store.datasets import dataset_cards, fingerprint_of, register_dataset

BIRDS = DATASETS["digits"].model_copy(update={"name": "folder:birds", "title": "Birds"})


def register(database: Database, card: DatasetCard = BIRDS, fingerprint: str = "a" * 64) -> None:
    with database.transaction() as session:
        register_dataset(session, card, fingerprint)


def test_a_registered_dataset_joins_the_built_in_ones(database: Database) -> None:
    register(database)
    register(database)
    with database.reading() as session:
        assert dataset_cards(session) == {**DATASETS, "folder:birds": BIRDS}
        assert fingerprint_of(session, "folder:birds") == "a" * 64
        assert fingerprint_of(session, "digits") is None


def test_a_name_means_one_set_of_images(database: Database) -> None:
    register(database)
    with pytest.raises(AlreadyExists, match="under another name"):
        register(database, fingerprint="b" * 64)
    with pytest.raises(AlreadyExists, match="under another name"):
        register(database, BIRDS.model_copy(update={"classes": 7}))


def test_a_card_of_an_earlier_version_is_completed_and_never_loses_what_it_has(database: Database) -> None:
    counts = tuple(range(10))
    early = BIRDS.model_copy(update={"class_names": None, "train_per_class": None, "test_per_class": None})
    complete = early.model_copy(update={"train_per_class": counts, "warnings": ("copies",)})
    for card, kept in ((early, early), (complete, complete), (early, complete)):
        register(database, card)
        with database.reading() as session:
            assert dataset_cards(session)["folder:birds"] == kept
    with pytest.raises(AlreadyExists, match="under another name"):
        register(database, BIRDS.model_copy(update={"train_per_class": counts[::-1]}))


def test_a_built_in_name_cannot_be_registered(database: Database) -> None:
    with pytest.raises(ValueError, match="'folder:<name>'"):
        register(database, DATASETS["digits"])
