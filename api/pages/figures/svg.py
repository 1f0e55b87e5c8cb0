"""SVG text built from elements: what every figure shares, and sparklines.

Decisions:
    * The server draws, so figures need no JavaScript. An element tree holds the drawing, so no label can
      break out.
    * Colour, dash and marker together identify a series; a reader needs no colour vision.
    * `static/chart.css` holds the colours for light and dark; a stand-alone picture embeds that file.
    * A group with `data-name` is a series and its marks with a `<title>` are values: `static/figures.js`
      reads both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from xml.etree import ElementTree as ET

from api.shared.printable import printable, printable_lines

COLOURS = 8
DASHES = ("", "7 3", "2 3", "9 3 2 3")
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",  # circle
    "M-3.6 -3.6h7.2v7.2h-7.2z",  # square
    "M0 -4.8L4.6 3.4h-9.2z",  # triangle
    "M0 -5L5 0L0 5L-5 0z",  # diamond
    "M-4.6 -3.4h9.2L0 4.8z",  # triangle, point down
)

Element = ET.Element


@dataclass(frozen=True)
class SeriesStyle:
    """Colour, dash and marker of a series; the same in every figure of a page.

    Args:
        place: among the series of the page; decides colour, dash and marker.
        bound: whether it is an upper bound rather than a competitor: thin and grey.
    """

    place: int = 0
    bound: bool = False

    @property
    def colour(self) -> str:
        """The class of `static/chart.css`."""
        return "bound" if self.bound else f"c{self.place % COLOURS}"

    @property
    def marker(self) -> str:
        """The `d` of its marks."""
        return MARKERS[self.place % len(MARKERS)]

    @property
    def dash(self) -> dict[str, str]:
        """The attribute that dashes its line, if any."""
        dash = "1 4" if self.bound else DASHES[self.place % len(DASHES)]
        return {"stroke-dasharray": dash} if dash else {}


@lru_cache(maxsize=2_000)  # a page is drawn again when one of its entries changes
def sparkline(values: tuple[float, ...], title: str) -> str:
    """A curve without axes, the size of a word: fractions from 0 to 1."""
    picture = root(90, 24, title, standalone=False, css_class="sparkline")
    step = 84 / max(1, len(values) - 1)
    places = [(3 + step * index, 21 - 18 * value) for index, value in enumerate(values)]
    add(picture, "path", {"class": "line", "d": path(places)})
    dot = "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z"
    add(picture, "path", {"class": "mark", "d": dot, "transform": at(*places[-1])})
    return text(picture, standalone=False)


@cache
def chart_style() -> str:
    """The style sheet of figures."""
    return (Path(__file__).parents[1] / "static" / "chart.css").read_text()


def number(value: float) -> str:
    """A tick or a size: whole numbers without decimals, others with three digits."""
    return f"{value:g}" if value == int(value) else f"{value:.3g}"


def significant(value: float) -> str:
    """A number with three digits and a typographic minus."""
    return f"{value:.3g}".replace("-", "−")


def shortened(label: str, most: int) -> str:
    """A label with at most `most` characters."""
    return label if len(label) <= most else label[: most - 1] + "…"


def path(places: Sequence[tuple[float, float]]) -> str:
    """The `d` of a line through these places."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def at(x: float, y: float) -> str:
    """The `transform` that moves an element to a place."""
    return f"translate({x:.1f} {y:.1f})"


def root(width: int, height: int, title: str, standalone: bool, css_class: str = "chart") -> Element:
    """An empty picture; a stand-alone one has a size, its style and a background."""
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {width} {height}",
        "class": css_class,
        "role": "img",
        "aria-label": printable(title),
    }
    size = {"width": str(width), "height": str(height)}
    picture = Element("svg", attributes | (size if standalone else {}))
    if standalone:
        add(picture, "title", {}, title)
        add(picture, "style", {}, chart_style())
        add(picture, "rect", {"class": "paper", **size})
    return picture


def add(parent: Element, tag: str, attributes: dict[str, str], text: str | None = None) -> Element:
    """A new last child."""
    child = ET.SubElement(parent, tag, attributes)
    child.text = None if text is None else printable_lines(text)
    return child


def add_text(parent: Element, x: float, y: float, text: str, anchor: str = "") -> Element:
    """A label; `anchor` is SVG's `text-anchor`: start by default, middle or end."""
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}"}
    return add(parent, "text", place | ({"text-anchor": anchor} if anchor else {}), text)


def add_series(picture: Element, name: str, style: SeriesStyle) -> Element:
    """A group for everything that belongs to a series."""
    return add(picture, "g", {"class": style.colour, "data-name": printable(name)})


def add_mark(parent: Element, marker: str, x: float, y: float, value: str | None = None) -> Element:
    """A marker at a place; `value` is the text of its tooltip."""
    mark = add(parent, "path", {"class": "mark", "d": marker, "transform": at(x, y)})
    if value is not None:
        add(mark, "title", {}, value)
    return mark


def text(picture: Element, standalone: bool) -> str:
    """A finished picture."""
    written = ET.tostring(picture, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n' if standalone else written
