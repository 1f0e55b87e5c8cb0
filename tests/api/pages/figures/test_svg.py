"""Accuracy curves and sparklines as SVG."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from api.pages.figures.curves import BOTTOM, HEIGHT, LABEL_GAP, TOP, Series, curves
from api.pages.figures.svg import COLOURS, SeriesStyle, sparkline

SVG = "{http://www.w3.org/2000/svg}"


def falling(label, end, **options):
    return Series(label, [(2, 1.0), (4, (1 + end) / 2), (6, end)], **options)


def labels(root):
    return {
        text.text: float(text.get("y")) for text in root.iter(f"{SVG}text") if text.get("text-anchor") is None
    }


def test_a_zoomed_axis_begins_just_below_the_lowest_point() -> None:
    series = [Series("one", [(2, 0.99), (4, 0.87)]), Series("two", [(2, 0.95), (4, 0.912)])]
    ticks = re.findall(r">(\d+) %<", curves(series, "title", zoom=True))
    assert ticks == ["80", "85", "90", "95", "100"]
    assert re.findall(r">(\d+) %<", curves(series, "title", zoom=False)) == [
        "0",
        "20",
        "40",
        "60",
        "80",
        "100",
    ]
    ends = [
        float(y)
        for y in re.findall(
            r'class="line" d="M[\d.]+ [\d.]+L[\d.]+ ([\d.]+)"', curves(series, "title", zoom=True)
        )
    ]
    bottom, height = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    assert ends == pytest.approx(
        [bottom - height * (0.87 - 0.8) / 0.2, bottom - height * (0.912 - 0.8) / 0.2], abs=0.1
    )


def test_series_have_a_label_and_differ_in_more_than_colour():
    root = ET.fromstring(
        curves(
            [falling(f"method {index}", 0.1 * index, style=SeriesStyle(index)) for index in range(COLOURS)],
            "all of them",
        )
    )
    assert set(labels(root)) == {f"method {index}" for index in range(COLOURS)}
    styles = set()
    for group in root.findall(f"{SVG}g"):
        line, mark = group.find(f"{SVG}path[@class='line']"), group.find(f"{SVG}path[@class='mark']")
        if line is not None:
            styles.add((line.get("stroke-dasharray"), mark.get("d")))
    assert len(styles) == COLOURS


def test_labels_do_not_overlap_and_stay_on_the_canvas():
    root = ET.fromstring(curves([falling(f"m{index}", 0.5 + index / 1000) for index in range(12)], "close"))
    places = sorted(labels(root).values())
    assert all(below - above >= LABEL_GAP - 0.2 for above, below in pairwise(places))
    assert places[0] > 0
    assert places[-1] < 420


def test_a_label_cannot_break_out_of_the_picture():
    evil = '</text><script>alert(1)</script>"&'
    text = curves([falling(evil, 0.5)], evil, standalone=True)
    assert "<script" not in text
    assert ET.fromstring(text.encode()).get("aria-label") == evil


def test_points_are_placed_by_accuracy():
    root = ET.fromstring(curves([Series("only", [(10, 0.0), (20, 1.0)])], "two points"))
    (line,) = [path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]
    (x0, y0), (x1, y1) = (tuple(map(float, place.split())) for place in line.get("d")[1:].split("L"))
    assert x0 < x1
    assert y0 > y1
    grid = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == "grid"]
    assert f" {y0:.1f}H" in grid[0]
    assert f" {y1:.1f}H" in grid[-1]


def test_a_band_is_drawn_within_the_axes():
    root = ET.fromstring(
        curves([falling("banded", 0.9, band=[(0.9, 1.3), (0.8, 1.0), (-0.2, 0.95)])], "band")
    )
    (band,) = [path for path in root.iter(f"{SVG}path") if path.get("class") == "band"]
    heights = [float(place.split()[1]) for place in band.get("d")[1:-1].split("L")]
    assert min(heights) >= 14
    assert max(heights) <= 420 - 46


def banded(count):
    band = [(0.9, 1.0), (0.6, 0.8), (0.4, 0.6)]
    series = [falling(f"m{index}", 0.5, band=band, style=SeriesStyle(index)) for index in range(count)]
    root = ET.fromstring(curves(series, "bands"))
    return [path for path in root.iter(f"{SVG}path") if path.get("class", "").startswith(("band", "whisker"))]


def test_up_to_four_curves_show_every_band():
    assert [path.get("class") for path in banded(4)] == ["band"] * 4


def test_more_than_four_curves_show_whiskers_at_the_last_task_instead_of_bands():
    drawn = banded(5)
    assert [path.get("class") for path in drawn] == ["band folded", "whisker"] * 5
    places = [re.match(r"M([\d.]+) ([\d.]+)V([\d.]+)", path.get("d")) for path in drawn[1::2]]
    assert len({place[1] for place in places}) == 5  # side by side
    height, floor = HEIGHT - BOTTOM - TOP, 0.5
    for place in places:
        low, high = float(place[2]), float(place[3])
        assert high == pytest.approx(TOP + height * (1 - 0.6) / (1 - floor), abs=0.1)
        assert low == pytest.approx(HEIGHT - BOTTOM, abs=0.1)  # 0.4 is below the axis


def test_values_carry_their_interval():
    root = ET.fromstring(curves([falling("a", 0.5, band=[(0.9, 1.0), (0.6, 0.8), (0.4, 0.6)])], "values"))
    assert [title.text for title in root.iter(f"{SVG}title")] == [
        "a: 100.0 ± 5.0 % at 2 classes seen",
        "a: 75.0 ± 10.0 % at 4 classes seen",
        "a: 50.0 ± 10.0 % at 6 classes seen",
    ]


def test_control_characters_in_a_label_are_escaped():
    root = ET.fromstring(curves([falling("a\x1b\u202eb", 0.5)], "t\x07", standalone=True).encode())
    assert root.get("aria-label") == "t\\x07"
    assert set(labels(root)) == {"a\\x1b\\u202eb"}


def test_a_single_task_and_hundreds_of_tasks_can_be_drawn():
    assert curves([Series("one task", [(10, 0.5)])], "one").startswith("<svg")
    many = ET.fromstring(curves([Series("many", [(seen, 0.5) for seen in range(2, 402)])], "many"))
    ticks = [path for path in many.iter(f"{SVG}path") if path.get("class") == "tick"]
    assert 2 <= len(ticks) <= 13


def test_an_empty_chart_is_an_error():
    for nothing in ([], [Series("empty", [])]):
        with pytest.raises(ValueError, match="at least one"):
            curves(nothing, "nothing")


def test_only_a_stand_alone_picture_embeds_its_style():
    alone, inline = curves([falling("a", 0.5)], "t", standalone=True), curves([falling("a", 0.5)], "t")
    assert "prefers-color-scheme: dark" in alone
    assert "<style" not in inline
    assert " style=" not in alone + inline


def test_a_sparkline_has_a_title_and_no_text():
    root = ET.fromstring(sparkline((0.9, 0.5, 0.1), "iCaRL"))
    assert root.get("aria-label") == "iCaRL"
    assert not list(root.iter(f"{SVG}text"))
