"""Path and query parameters that JSON routes and pages share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from api.deps import one_of
from api.schemas.leaderboards import CLASSIFIERS, SORT_NAMES

JobId = Annotated[
    str,
    Path(
        pattern=r"^job_[0-9a-z]{26}$", description="A job's id.", examples=["job_01k9x3v8h2m4n6p8q0r2s4t6v8"]
    ),
]
RunId = Annotated[
    str,
    Path(
        pattern=r"^run_[0-9a-z]{26}$", description="A run's id.", examples=["run_01k9x3v8h2m4n6p8q0r2s4t6v8"]
    ),
]

Sort = Annotated[
    str,
    one_of(*SORT_NAMES),
    Query(description="What to rank by; the best comes first.", json_schema_extra={"enum": list(SORT_NAMES)}),
]
Classifier = Annotated[
    str | None,
    one_of(*CLASSIFIERS),
    Query(
        description="Which accuracy curve; each method's own ranking classifier when left out.",
        json_schema_extra={"enum": list(CLASSIFIERS)},
    ),
]
ExemplarFree = Annotated[bool, Query(description="Only entries that keep no exemplars.")]
BestPerMethod = Annotated[bool, Query(description="Of each method only the entry that comes first.")]

Entries = Annotated[
    list[str],
    Query(description="Ids of 2 to 8 entries of one track, as the leaderboard gives them.", max_length=100),
]
Baseline = Annotated[
    str | None,
    Query(description="One of the entries, with which the others are compared; the first if left out."),
]
Slugs = Annotated[list[str], Query(description="Two tracks or more.", max_length=100)]
