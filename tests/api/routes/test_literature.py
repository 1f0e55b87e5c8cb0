"""Published figures over HTTP."""

from __future__ import annotations

import pytest

ADDRESS = "/api/v1/literature/disagreement"


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


def read(client, **query):
    answer = client.get(ADDRESS, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_cells_come_with_their_spread_sources_and_citations(client):
    found = read(client)
    spreads = [cell["last_spread"] for cell in found["items"]]
    assert spreads == sorted(spreads, reverse=True)
    assert found["last"]["cells"] == len(spreads)
    assert found["last"]["over_10"] == sum(spread > 10 for spread in spreads) > 0
    for cell in found["items"]:
        assert len(cell["sources"]) >= 2
        for cited in cell["reports"]:
            assert cited["work"]["citation"]
            assert cited["report"]["kind"] != "second-hand"


def test_filters_keep_one_method_and_one_dataset(client):
    found = read(client, method="EASE", dataset="ImageNet-A")
    (cell,) = found["items"]
    assert (cell["method"], cell["dataset"], cell["last_spread"]) == ("EASE", "ImageNet-A", 9.68)
    assert [row["name"] for row in found["by_method"]] == ["EASE"]
    assert read(client, method="unknown")["items"] == []


def test_second_hand_reports_are_listed_on_request_and_change_no_count(client):
    hidden, shown = read(client, dataset="VTAB"), read(client, dataset="VTAB", second_hand=True)
    kinds = {cited["report"]["kind"] for cell in shown["items"] for cited in cell["reports"]}
    assert "second-hand" in kinds
    assert shown["last"] == hidden["last"]


@pytest.mark.parametrize("query", [{"methods": "EASE"}, {"second_hand": "perhaps"}, {"dataset": "x" * 81}])
def test_an_invalid_query_is_a_problem(client, query):
    answer = client.get(ADDRESS, params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
