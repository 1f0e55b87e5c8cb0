"""The disagreement between sources, against lists made by hand."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest

from store.leaderboard.literature.disagreement import Cell, Disagreement, disagreement
from store.leaderboard.literature.pretrained_reports import Collection, pretrained_reports

TEAMS = {"a-paper": "A", "a-code": "A", "b": "B", "c": "C"}


def found_in(*reports: dict[str, Any], **query: Any) -> Disagreement:
    numbers = itertools.count()
    defaults = {
        "method": "M",
        "dataset": "D",
        "protocol": "B0-Inc10",
        "weights": "W",
        "exemplars": "none",
        "average": None,
        "kind": "rerun",
        "place": "",
        "order": None,
    }
    collection = {
        "works": [
            {"key": key, "team": team, "citation": f"{key}, 2024", "link": None}
            for key, team in TEAMS.items()
        ],
        "reports": [{"id": next(numbers), **defaults, **report} for report in reports],
    }
    return disagreement(Collection.model_validate(collection), **query)


def only_cell(found: Disagreement) -> Cell:
    (cell,) = found.items
    return cell


def test_the_spread_is_the_largest_minus_the_smallest_figure() -> None:
    cell = only_cell(
        found_in(
            {"work": "a-paper", "average": 70.1, "last": 60.0},
            {"work": "b", "average": 68.0, "last": 55.5},
            {"work": "c", "average": 69.0, "last": 57.0},
        )
    )
    assert (cell.average_spread, cell.last_spread) == (2.1, 4.5)
    assert [source.team for source in cell.sources] == ["A", "B", "C"]


def test_works_of_one_team_are_one_source_with_their_mean() -> None:
    alone = found_in({"work": "a-paper", "last": 60.0}, {"work": "a-code", "last": 50.0})
    assert (alone.cells, alone.items) == (1, ())
    cell = only_cell(
        found_in(
            {"work": "a-paper", "last": 60.0, "average": 70.0},
            {"work": "a-code", "last": 50.0},
            {"work": "b", "last": 58.0, "average": 71.0},
        )
    )
    assert [(source.team, source.average, source.last) for source in cell.sources] == [
        ("A", 70.0, 55.0),
        ("B", 71.0, 58.0),
    ]
    assert (cell.average_spread, cell.last_spread) == (1.0, 3.0)


def test_an_average_that_one_source_prints_has_no_spread() -> None:
    found = found_in({"work": "a-paper", "last": 60.0, "average": 70.0}, {"work": "b", "last": 58.0})
    assert only_cell(found).average_spread is None
    assert (found.average.cells, found.average.median, found.average.largest) == (0, None, None)
    assert found.last.cells == 1


@pytest.mark.parametrize(
    "difference",
    [
        {"method": "N"},
        {"dataset": "E"},
        {"protocol": "B0-Inc5"},
        {"weights": "V"},
        {"exemplars": "20 per class"},
    ],
)
def test_reports_that_differ_in_one_choice_are_in_two_cells(difference: dict[str, str]) -> None:
    found = found_in({"work": "a-paper", "last": 60.0}, {"work": "b", "last": 50.0, **difference})
    assert (found.cells, found.items) == (2, ())


def test_reports_with_unknown_weights_are_in_no_cell() -> None:
    found = found_in(
        {"work": "a-paper", "last": 60.0, "weights": None}, {"work": "b", "last": 50.0, "weights": None}
    )
    assert (found.reports, found.cells, found.items) == (2, 0, ())


def test_a_second_hand_report_never_counts_and_is_listed_on_request() -> None:
    copy = {"work": "c", "last": 10.0, "kind": "second-hand"}
    pair = ({"work": "a-paper", "last": 60.0}, {"work": "b", "last": 58.0})
    hidden, shown = only_cell(found_in(*pair, copy)), only_cell(found_in(*pair, copy, second_hand=True))
    assert hidden.last_spread == shown.last_spread == 2.0
    assert [cited.role for cited in hidden.reports] == ["counted", "counted"]
    assert [(cited.work.key, cited.role) for cited in shown.reports][-1] == ("c", "second-hand")
    assert found_in({"work": "a-paper", "last": 60.0}, copy, second_hand=True).items == ()


def test_a_rerun_with_the_figures_of_another_team_is_a_copy() -> None:
    same = {"average": 70.0, "last": 60.0}
    assert found_in({"work": "b", **same}, {"work": "a-paper", "kind": "author", **same}).items == ()
    cell = only_cell(
        found_in(
            {"work": "b", **same},
            {"work": "a-paper", "kind": "author", **same},
            {"work": "c", "average": 69.0, "last": 57.0},
        )
    )
    assert [(cited.work.key, cited.role) for cited in cell.reports] == [
        ("b", "repeated"),
        ("a-paper", "counted"),
        ("c", "counted"),
    ]
    assert [source.team for source in cell.sources] == ["A", "C"]


def test_equal_last_accuracies_alone_are_agreement() -> None:
    found = found_in({"work": "a-paper", "last": 60.0}, {"work": "b", "last": 60.0})
    assert only_cell(found).last_spread == 0


def test_counts_are_of_cells_strictly_above_each_threshold() -> None:
    spreads = {
        "B0-Inc1": 0.5,
        "B0-Inc2": 1.0,
        "B0-Inc3": 1.01,
        "B0-Inc4": 5.5,
        "B0-Inc5": 10.0,
        "B0-Inc6": 12.0,
    }
    reports = []
    for protocol, spread in spreads.items():
        reports.append({"work": "a-paper", "protocol": protocol, "last": 40.3})
        reports.append({"work": "b", "protocol": protocol, "last": 40.3 + spread})
    found = found_in(*reports)
    assert (found.last.cells, found.last.over_1, found.last.over_5, found.last.over_10) == (6, 4, 3, 1)
    assert (found.last.median, found.last.largest) == (3.255, 12.0)
    assert [cell.last_spread for cell in found.items] == [12.0, 10.0, 5.5, 1.01, 1.0, 0.5]


def test_summaries_are_per_method_and_per_dataset_and_filters_apply_to_all() -> None:
    reports = [
        {"work": work, "method": method, "dataset": dataset, "last": last}
        for method, dataset, figures in (
            ("M", "D", (60.0, 50.0)),
            ("M", "E", (60.0, 58.0)),
            ("N", "E", (9.0, 9.5)),
        )
        for work, last in zip(("a-paper", "b"), figures, strict=True)
    ]
    found = found_in(*reports)
    assert [(row.name, row.last.cells, row.last.largest) for row in found.by_method] == [
        ("M", 2, 10.0),
        ("N", 1, 0.5),
    ]
    assert [(row.name, row.last.cells, row.last.over_1) for row in found.by_dataset] == [
        ("E", 2, 1),
        ("D", 1, 1),
    ]
    of_n = found_in(*reports, method="N")
    assert (of_n.reports, of_n.cells, [cell.dataset for cell in of_n.items]) == (2, 1, ["E"])
    assert [cell.method for cell in found_in(*reports, dataset="E").items] == ["M", "N"]
    assert found_in(*reports, method="N", dataset="D").items == ()


def test_shipped_cells_have_two_teams_and_the_spread_of_their_figures() -> None:
    found = disagreement(pretrained_reports(), second_hand=True)
    assert found.items
    for cell in found.items:
        counted = [cited for cited in cell.reports if cited.role == "counted"]
        assert len({cited.work.team for cited in counted}) == len(cell.sources) >= 2
        assert all(cited.report.kind != "second-hand" for cited in counted)
        figures = [cited.report.last for cited in counted]
        assert 0 <= cell.last_spread <= max(figures) - min(figures) + 1e-4


def test_l2p_on_cub_differs_by_what_two_papers_print() -> None:
    found = disagreement(pretrained_reports(), method="L2P", dataset="CUB-200")
    cell = next(cell for cell in found.items if cell.protocol == "B0-Inc10")
    assert {source.last for source in cell.sources} == {56.25, 70.31}
    assert cell.last_spread == 14.06


def test_the_query_needs_no_pytorch() -> None:
    code = (
        "import sys; from store.leaderboard.literature.disagreement import disagreement;"
        "from store.leaderboard.literature.pretrained_reports import pretrained_reports;"
        "disagreement(pretrained_reports()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
