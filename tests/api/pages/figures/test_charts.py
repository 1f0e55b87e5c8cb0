"""Figures: numbers place the marks, files hold the page's numbers, and no label breaks out of a picture."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree as ET

import pytest
from scipy import stats

from api.pages.figures import bars, charts, intervals, ranks, scatter, trace
from api.pages.figures.bars import BarSeries
from api.pages.figures.curves import Series
from api.pages.figures.intervals import DifferenceRow
from api.pages.figures.scatter import ScatterPoint
from api.pages.figures.svg import SeriesStyle

EVIL = "<script>alert(1)</script>\"'&"
NAMESPACE = "{http://www.w3.org/2000/svg}"


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture[picture.index("<svg") :])


def texts(picture: str) -> list[str]:
    return [node.text or "" for node in parsed(picture).iter(f"{NAMESPACE}text")]


def places(picture: str) -> list[tuple[float, float]]:
    found = [
        re.fullmatch(r"translate\((-?[\d.]+) (-?[\d.]+)\)", node.get("transform", ""))
        for node in parsed(picture).iter(f"{NAMESPACE}path")
    ]
    return [(float(one[1]), float(one[2])) for one in found if one]


def test_a_difference_is_placed_relative_to_zero_within_its_interval() -> None:
    picture = intervals.intervals(
        [
            DifferenceRow("better", SeriesStyle(0), 0.02, 0.01, 0.03),
            DifferenceRow("worse", SeriesStyle(1), -0.01, -0.02, 0.0),
            DifferenceRow("alone", SeriesStyle(2), None),
        ],
        "t",
    )
    (better, _), (worse, _) = places(picture)
    lines = [
        re.match(r"M(-?[\d.]+) [\d.]+H(-?[\d.]+)", node.get("d", ""))
        for node in parsed(picture).iter(f"{NAMESPACE}path")
        if node.get("class") == "line"
    ]
    zero = float(re.search(r'class="zero" d="M([\d.]+)', picture)[1])
    assert worse < zero < better
    assert better - zero == pytest.approx(2 * (zero - worse), abs=0.2)
    assert [
        float(lines[0][1]) < better < float(lines[0][2]),
        float(lines[1][2]) == pytest.approx(zero, abs=0.1),
    ] == [True, True]
    assert {"+2.00", "−1.00", "no seed in common"} <= set(texts(picture))


def test_bars_below_zero_hang_down() -> None:
    picture = bars.bars(
        ["task 1", "task 2"],
        [BarSeries("a", SeriesStyle(0), (0.1, -0.05)), BarSeries("b", SeriesStyle(1), (0.2, 0.0))],
        "t",
    )
    boxes = [
        {name: float(node.get(name)) for name in ("y", "height")}
        for node in parsed(picture).iter(f"{NAMESPACE}rect")
    ]
    zero = boxes[0]["y"] + boxes[0]["height"]  # the first bar's foot
    assert boxes[1]["y"] == pytest.approx(zero, abs=0.2)  # a's second bar, below zero
    assert boxes[1]["height"] == pytest.approx(boxes[0]["height"] / 2, abs=0.2)


def test_the_frontier_is_named_and_costs_lie_on_a_logarithmic_axis() -> None:
    picture = scatter.scatter(
        [
            ScatterPoint("cheap", 1, 0.7, True),
            ScatterPoint("dear", 100, 0.9, True),
            ScatterPoint("worse", 10, 0.6),
        ],
        "t",
        "MB",
    )
    (cheap, _), (dear, _), (worse, low) = places(picture)
    assert worse - cheap == pytest.approx(dear - worse, abs=0.2)
    assert low == max(y for _, y in places(picture))
    assert {"cheap", "dear"} <= set(texts(picture))
    assert "worse" not in texts(picture)


@pytest.mark.parametrize(
    ("average_ranks", "critical", "expected"),
    [
        ((1.0, 1.5, 3.0, 3.2), 0.6, [(0, 1), (2, 3)]),
        ((1.0, 2.0, 3.0), 1.2, [(0, 1), (1, 2)]),
        ((1.0, 2.0, 3.0), 5.0, [(0, 2)]),
        ((1.0, 4.0), 0.5, []),
    ],
)
def test_methods_closer_than_the_critical_difference_are_joined(average_ranks, critical, expected) -> None:
    assert ranks.cliques(average_ranks, critical) == expected
    names = [f"m{place}" for place in range(len(average_ranks))]
    picture = ranks.critical_difference(names, average_ranks, critical, "t")
    assert len(
        [node for node in parsed(picture).iter(f"{NAMESPACE}path") if node.get("class") == "clique"]
    ) == len(expected)


def test_a_trace_ends_where_its_last_value_is() -> None:
    picture = trace.trace([(1, 2.0), (2, 1.0), (3, 0.0)], "t", "epochs", [(1.0, "task 1")])
    ((x, y),) = places(picture)
    assert x == pytest.approx(trace.WIDTH - 14)
    assert y == pytest.approx(260 - 42)
    assert "task 1" in texts(picture)


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [(0.012, None, "+1.2"), (-0.01, 2, "−1.00"), (0.0, None, "0"), (0.0, 2, "0.00")],
)
def test_signs_are_typographic_and_zero_has_none(value, digits, said) -> None:
    assert intervals.signed(value, digits) == said


ALL = [
    charts.curves("curves", [Series(EVIL, [(2, 0.9), (4, 0.8)], [(0.8, 1.0), (0.7, 0.9)])], EVIL),
    charts.intervals("differences", [DifferenceRow(EVIL, SeriesStyle(), 0.01, 0.0, 0.02)], EVIL),
    charts.bars("bars", [EVIL], [BarSeries(EVIL, SeriesStyle(), [0.5])], EVIL),
    charts.scatter("scatter", [ScatterPoint(EVIL, 1.0, 0.5, True)], EVIL, "MB"),
    charts.critical_difference("ranks", [EVIL, "b"], [1.0, 2.0], 3.0, EVIL),
    charts.trace("trace", [(1.0, 0.5)], EVIL, "epochs", "loss"),
]


@pytest.mark.parametrize("figure", ALL, ids=lambda figure: figure.name)
def test_no_name_breaks_out_of_a_figure_in_any_form(figure) -> None:
    for standalone in (False, True):
        picture = figure.draw(standalone)
        assert "<script" not in picture
        assert parsed(picture).get("aria-label") == EVIL
    rows = list(csv.reader(io.StringIO(figure.csv())))
    assert tuple(rows[0]) == figure.columns
    assert len(rows) == 1 + len(figure.rows)


DIGITS = "digits-b0-inc2-m50-convnet"


def test_every_figure_can_be_downloaded_as_picture_and_as_numbers(finished) -> None:
    board = finished.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"]
    chosen = "&".join(f"entry={entry['id']}" for entry in board[:3])
    pages = [f"/tracks/{DIGITS}?zoom=false", f"/compare?{chosen}", f"/runs/{board[0]['runs'][0]['run_id']}"]
    for address in pages:
        text = finished.get(address, headers={"Accept": "text/html"}).text
        files = re.findall(r'<a href="([^"]+\.(?:svg|csv)[^"]*)"', text)
        assert len(files) == 2 * text.count("<figure") >= 2
        for file in files:
            answer = finished.get(file.replace("&amp;", "&"))
            assert answer.status_code == 200, file
            assert answer.headers["content-type"] == (
                "image/svg+xml" if ".svg" in file else "text/csv; charset=utf-8"
            )


def test_an_unknown_figure_is_answered_with_the_known_ones(finished) -> None:
    answer = finished.get(f"/tracks/{DIGITS}/beauty.svg")
    assert (
        answer.status_code,
        "available: curves.svg, curves.csv, pareto.svg, pareto.csv" in answer.json()["detail"],
    ) == (404, True)


def test_the_numbers_of_a_figure_are_those_of_the_api(finished) -> None:
    entries = finished.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"]
    rows = list(csv.DictReader(io.StringIO(finished.get(f"/tracks/{DIGITS}/curves.csv").text)))
    icarl = next(entry for entry in entries if entry["method"] == "icarl")
    mine = [row for row in rows if row["series"].startswith("iCaRL")]
    assert [float(row["accuracy"]) for row in mine] == pytest.approx(
        [point["mean"] for point in icarl["curve"]]
    )


def test_bands_agree_with_holm_s_correction(finished) -> None:
    ranked = [
        entry for entry in finished.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"] if entry["rank"]
    ]
    first, others = ranked[0], ranked[1:]
    values = {
        entry["id"]: {run["seed"]: run["average_accuracy"] for run in entry["runs"]} for entry in ranked
    }
    p = {}
    for other in others:
        seeds = sorted(values[first["id"]].keys() & values[other["id"]].keys())
        pairs = [[values[entry["id"]][seed] for seed in seeds] for entry in (first, other)]
        spread = {round(one - two, 9) for one, two in zip(*pairs, strict=True)}
        p[other["id"]] = (
            1.0 if len(seeds) < 3 else (0.0 if len(spread) == 1 else float(stats.ttest_rel(*pairs).pvalue))
        )
    ordered = sorted(p, key=p.get)
    apart = {
        entry
        for place, entry in enumerate(ordered)
        if max(p[one] * (len(p) - number) for number, one in enumerate(ordered[: place + 1])) < 0.05
    }
    expected = next((place for place, entry in enumerate(others) if entry["id"] in apart), len(others))
    assert [entry["band"] for entry in ranked[: expected + 1]] == [1] * (expected + 1)
    assert all(entry["band"] > 1 for entry in ranked[expected + 1 :])


def test_the_address_chooses_columns(finished) -> None:
    page = finished.get(
        f"/tracks/{DIGITS}?columns=harmonic_accuracy&columns=median_rank&sort=forgetting",
        headers={"Accept": "text/html"},
    ).text
    heads = re.findall(
        r'<th scope="col"[^>]*>\s*(?:<a [^>]*>)?([^<]+)',
        page[page.index('id="entries"') : page.index("</thead>")],
    )
    assert [head.strip() for head in heads if head.strip()][-2:] == ["Median rank", "Harmonic mean"]
    assert "columns=median_rank" in page
    refused = finished.get(f"/tracks/{DIGITS}?columns=beauty")
    assert (
        refused.status_code,
        "unknown column 'beauty'; allowed: average_accuracy" in refused.json()["detail"],
    ) == (422, True)


def test_the_best_of_each_method_can_be_shown_alone(finished) -> None:
    whole = finished.get(f"/api/v1/leaderboards/{DIGITS}").json()["items"]
    best = finished.get(f"/api/v1/leaderboards/{DIGITS}", params={"best_per_method": "true"}).json()["items"]
    assert [entry["method"] for entry in best] == list(dict.fromkeys(entry["method"] for entry in whole))
    assert [entry["median_rank"] for entry in whole if entry["rank"] is None] == [None]
    assert all(1 <= entry["median_rank"] <= 3 for entry in whole if entry["rank"])
