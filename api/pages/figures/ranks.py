"""Average ranks with the critical difference (Demšar, JMLR 2006)."""

from __future__ import annotations

from collections.abc import Sequence

from api.pages.figures.svg import Element, add, add_text, root, shortened, text

WIDTH = 800
SIDE, TOP = 210, 74
BAR_GAP, ROW = 9, 24


def critical_difference(
    names: Sequence[str], ranks: Sequence[float], critical: float, title: str, standalone: bool = False
) -> str:
    """Average ranks on a line; a bar joins methods that do not differ significantly.

    Args:
        names: by rank, the best first; at least two.
        ranks: of each method; 1 is best.
        critical: difference from which on two ranks differ significantly.
        title: describes the figure for readers who cannot see it.
        standalone: whether the picture is a file of its own.
    """
    groups = cliques(ranks, critical)
    half = -(-len(names) // 2)
    below = TOP + 14 + BAR_GAP * len(groups)
    picture = root(WIDTH, below + ROW * half + 18, title, standalone)
    last = max(2, len(names))
    _draw_axis(picture, last, critical)
    for index, (first, end) in enumerate(groups):
        y = TOP + 10 + BAR_GAP * index
        line = f"M{_x(ranks[first], last) - 4:.1f} {y}H{_x(ranks[end], last) + 4:.1f}"
        add(picture, "path", {"class": "clique", "d": line})
    for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        row = place if place < half else len(names) - 1 - place
        _draw_name(picture, name, rank, _x(rank, last), below + ROW * row + 8, place < half)
    return text(picture, standalone)


def cliques(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """First and last place of each largest group of ascending `ranks` within the critical difference."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        end = max(place for place in range(first, len(ranks)) if ranks[place] - ranks[first] <= critical)
        if end > first and not (found and found[-1][1] >= end):
            found.append((first, end))
    return found


def _x(rank: float, last: int) -> float:
    return SIDE + (WIDTH - 2 * SIDE) * (rank - 1) / (last - 1)


def _draw_axis(picture: Element, last: int, critical: float) -> None:
    axes = add(picture, "g", {"class": "axes"})
    start = _x(1, last)
    add(axes, "path", {"class": "zero", "d": f"M{start:.1f} {TOP}H{_x(last, last):.1f}"})
    for tick in range(1, last + 1):
        add(axes, "path", {"class": "tick", "d": f"M{_x(tick, last):.1f} {TOP}v-6"})
        add_text(axes, _x(tick, last), TOP - 11, str(tick), "middle")
    width = min(_x(1 + critical, last) - start, WIDTH - start - 10)
    bracket = f"M{start:.1f} 24h{width:.1f}M{start:.1f} 19v10M{start + width:.1f} 19v10"
    add(axes, "path", {"class": "zero", "d": bracket})
    add_text(axes, start, 13, f"critical difference {critical:.2f}")


def _draw_name(picture: Element, name: str, rank: float, x: float, y: float, to_the_left: bool) -> None:
    edge = SIDE - 24 if to_the_left else WIDTH - SIDE + 24
    add(picture, "path", {"class": "tick leader", "d": f"M{x:.1f} {TOP}V{y:.1f}H{edge}"})
    label = f"{shortened(name, 20)}  {rank:.2f}"
    add_text(picture, edge + (-8 if to_the_left else 8), y + 4, label, "end" if to_the_left else "start")
