"""`Listing`: a table that fits the terminal without breaking a word.

Decisions:
    * Where space is short, the columns of the lowest rank leave first. One with `moves` continues under its
      row, one without is left out, and a note names what was left out. A column of rank 0 always remains.
    * The last column may wrap between words, next to the others or, if less than `LEAST_WRAPPED` is left,
      under the row.
    * Identifiers and names are therefore always whole and can be copied.
    * Every cell is text of a stranger: control characters are shown as escapes, and Rich's markup means
      nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from api.client.spelling import spelled
from api.shared.printable import printable

GAP = 2
INDENT = 4
LEAST_WRAPPED = 45

_EMPTY = ("", "–", "-")


@dataclass(frozen=True)
class Column:
    """A column of a listing.

    Attributes:
        heading: also the name of the column in the note.
        right: aligned to the right.
        rank: 0 remains always; of the others, the highest leaves first.
        moves: continues under its row instead of being left out.
        label: in front of a cell that continues under its row.
        wraps: breaks between words; for the last column only.
    """

    heading: str
    right: bool = False
    rank: int = 0
    moves: bool = False
    label: str = ""
    wraps: bool = False


@dataclass
class Listing:
    """Rows of text under headings.

    Attributes:
        columns: from left to right.
        rows: a cell for each column.
        title: above the headings.
        notes: sentences under the rows.
    """

    columns: Sequence[Column]
    rows: list[Sequence[str]] = field(default_factory=list)
    title: str = ""
    notes: Sequence[str] = ()

    def add(self, *cells: str) -> None:
        """Append a row."""
        self.rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, at most as wide as the console."""
        encoding = options.encoding
        rows = [[spelled(printable(cell), encoding) for cell in row] for row in self.rows]
        page = _Page(self.columns, rows, options.max_width)
        if self.title:
            yield _paragraph(self.title, console, options, style="bold")
        yield Text(page.line([spelled(column.heading, encoding) for column in self.columns]), style="bold")
        yield Text(spelled("─", encoding) * page.width)
        yield from page.lines(console, spelled(" · ", encoding))
        for note in (*self.notes, *page.notes()):
            yield _paragraph(note, console, options, style="dim")


class _Page:
    """A listing at one width: which columns are shown side by side, under the rows, or not at all."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> None:
        self.columns, self.rows, self.max_width = columns, rows, width
        self.widths = [
            max(cell_len(text) for text in (column.heading, *(row[place] for row in rows)))
            for place, column in enumerate(columns)
        ]
        self.shown = [place for place in range(len(columns)) if self._has_content(place)]
        while self._needed() > width and (place := self._next_to_leave()) is not None:
            self.shown.remove(place)
        last = self.shown[-1]
        if columns[last].wraps:
            free = width - sum(self.widths[place] + GAP for place in self.shown[:-1])
            self.widths[last] = min(self.widths[last], free)
        self.under = [p for p in range(len(columns)) if p not in self.shown and columns[p].moves]
        self.width = min(sum(self.widths[place] for place in self.shown) + GAP * (len(self.shown) - 1), width)

    def line(self, cells: Sequence[str]) -> str:
        """One line of the columns side by side."""
        return (" " * GAP).join(self._padded(place, cells[place]) for place in self.shown).rstrip()

    def lines(self, console: Console, separator: str) -> Iterator[Text]:
        """Every row, with what is under it."""
        for row in self.rows:
            last = self.shown[-1]
            first, *others = [row[last]]
            if self.columns[last].wraps:
                first, *others = _wrapped(console, row[last], self.widths[last])
            yield Text(self.line([*row[:last], first, *row[last + 1 :]]))
            start = sum(self.widths[place] + GAP for place in self.shown[:-1])
            yield from (Text(" " * start + text) for text in others)
            if under := separator.join(self._moved(row)):
                yield from (
                    Text(" " * INDENT + text) for text in _wrapped(console, under, self.max_width - INDENT)
                )

    def _moved(self, row: Sequence[str]) -> Iterator[str]:
        return (self.columns[place].label + row[place] for place in self.under if row[place] not in _EMPTY)

    def notes(self) -> Iterator[str]:
        """Which columns are left out."""
        absent = [
            column.heading
            for place, column in enumerate(self.columns)
            if place not in self.shown and place not in self.under and self._has_content(place)
        ]
        if absent:
            yield f"Not shown in this width: {', '.join(absent)}."

    def _has_content(self, place: int) -> bool:
        """A column without a rank is shown even if it is empty."""
        return self.columns[place].rank == 0 or any(row[place].strip() for row in self.rows)

    def _needed(self) -> int:
        places = [
            self._least_wrapped(place) if self.columns[place].wraps else self.widths[place]
            for place in self.shown
        ]
        return sum(places) + GAP * (len(places) - 1)

    def _least_wrapped(self, place: int) -> int:
        """Enough for the longest word."""
        longest = max((cell_len(word) for row in self.rows for word in row[place].split()), default=0)
        return min(self.widths[place], max(LEAST_WRAPPED, longest))

    def _next_to_leave(self) -> int | None:
        ranked = [place for place in self.shown if self.columns[place].rank]
        return max(ranked, key=lambda place: self.columns[place].rank, default=None)

    def _padded(self, place: int, cell: str) -> str:
        space = " " * (self.widths[place] - cell_len(cell))
        return space + cell if self.columns[place].right else cell + space


def stacked(*tables: RenderableType) -> Group:
    """Tables with an empty line between them."""
    return Group(*[part for table in tables for part in ("", table)][1:])


def _paragraph(text: str, console: Console, options: ConsoleOptions, *, style: str) -> Text:
    lines = _wrapped(console, spelled(printable(text), options.encoding), options.max_width)
    return Text("\n".join(lines), style=style)


def _wrapped(console: Console, text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words; a longer word is cut."""
    lines = Text(text).wrap(console, max(width, 1))
    return [line.plain.rstrip() for line in lines] or [""]
