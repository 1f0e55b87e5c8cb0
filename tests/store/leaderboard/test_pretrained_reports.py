"""The shipped reports, and what a collection refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from store.leaderboard.literature.pretrained_reports import Collection, Kind, pretrained_reports

WORK = {"key": "w", "team": "A", "citation": "A, 2024", "link": None}


def report(**changes: Any) -> dict[str, Any]:
    return {
        "id": 0,
        "method": "M",
        "dataset": "D",
        "protocol": "B0-Inc10",
        "weights": "W",
        "exemplars": "none",
        "average": 60.0,
        "last": 50.0,
        "kind": "author",
        "work": "w",
        "place": "",
        "order": None,
        **changes,
    }


def collection(*reports: dict[str, Any]) -> Collection:
    return Collection.model_validate({"works": [WORK], "reports": list(reports)})


def test_every_shipped_report_is_valid_and_has_its_own_id_and_a_listed_work() -> None:
    shipped = pretrained_reports()
    assert len(shipped.reports) == len({one.id for one in shipped.reports}) == 895
    works = {work.key: work for work in shipped.works}
    assert {one.work for one in shipped.reports} == set(works)
    assert all(work.citation and work.team for work in works.values())


def test_every_kind_is_shipped_and_text_names_no_internal_identifier() -> None:
    shipped = pretrained_reports()
    assert {one.kind for one in shipped.reports} == set(Kind)
    assert "stored id" not in shipped.model_dump_json()


def test_a_shipped_report_is_what_the_paper_prints() -> None:
    ease = next(
        one
        for one in pretrained_reports().reports
        if (one.method, one.dataset, one.work) == ("EASE", "ImageNet-A", "ease")
    )
    assert (ease.average, ease.last, ease.kind, ease.place) == (65.34, 55.04, Kind.AUTHOR, "Table 1")


def test_the_paper_and_the_logs_of_the_same_authors_are_works_of_one_team() -> None:
    teams = {work.key: work.team for work in pretrained_reports().works}
    assert teams["ease"] == teams["revisiting-cil"]
    assert teams["sd-lora"] == teams["sd-lora-code"]
    assert teams["ease"] != teams["min"]


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (report(work="unknown"), "reports cite works that are not listed: unknown"),
        (report(work=""), "at least 1 character"),
        (report(last=101.0), "less than or equal to 100"),
        (report(kind="guess"), "Input should be 'author', 'rerun' or 'second-hand'"),
        (report(surprise=1), "Extra inputs are not permitted"),
        (report(curve=[70.0, 49.0], average=59.5), "last 50.0, but its curve ends at 49.0"),
        (report(curve=[72.0, 50.0]), "average 60.0, but its curve's mean is 61.00"),
    ],
)
def test_a_faulty_report_is_refused(faulty: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        collection(faulty)
    assert message in str(refused.value)


def test_two_reports_with_one_id_are_refused() -> None:
    with pytest.raises(ValidationError, match="two reports share an id"):
        collection(report(), report())
