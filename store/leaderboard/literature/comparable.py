"""Entries that compare with a reported result: those of the same recipe under the same classifier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database.models import Run, Summary
from store.leaderboard.entries import Entry
from store.leaderboard.leaderboard import entries_by_id
from store.leaderboard.literature import ExternalResult


def comparable(session: Session, track_slug: str, rows: Sequence[ExternalResult]) -> list[Entry | None]:
    """For each row, the entry of its recipe that finished last.

    None without one, or for an unknown recipe.
    """
    digests = [row.recipe.digest() if row.recipe else None for row in rows]
    query = select(Summary.entry_id, Summary.classifier, Run.recipe_digest).join(
        Run, Run.id == Summary.run_id
    )
    query = query.where(
        Summary.track_slug == track_slug, Summary.counted, Run.recipe_digest.in_(filter(None, digests))
    )
    by_classifier: dict[str, set[str]] = defaultdict(set)
    wanted = {(row.classifier, digest) for row, digest in zip(rows, digests, strict=True)}
    for entry_id, classifier, digest in session.execute(query.distinct()):
        if (classifier, digest) in wanted:
            by_classifier[classifier].add(entry_id)
    found: dict[tuple[str | None, str | None], Entry] = {
        (classifier, entry.recipe_digest): entry
        for classifier, ids in by_classifier.items()
        for entry in sorted(
            entries_by_id(session, sorted(ids), classifier),
            key=lambda entry: (entry.finished_at is not None, entry.finished_at),
        )
    }
    return [found.get((row.classifier, digest)) for row, digest in zip(rows, digests, strict=True)]
