r"""Values as text: the filters of the templates.

Decisions:
    * Numbers have the digits of `api.shared.numbers`, with a minus sign in place of the hyphen-minus.
    * Text from users may hold control characters and bidirectional overrides, which would hide or reorder
      what follows. Pages show them as escapes (`\x1b`, `\u202e`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from markupsafe import Markup, escape

from api.shared import numbers
from api.shared.numbers import MISSING
from api.shared.printable import printable_lines
from api.shared.variants import brief
from store.leaderboard.statistics import Statistic

_HOUR = 3600
_UNITS = (("years", 31_557_600), ("months", 2_629_800), ("days", 86_400), ("h", _HOUR), ("min", 60))


def visible(value: object) -> object:
    """Plain text with invisible controls as escapes; Jinja2 applies it to everything it prints."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return printable_lines(value)


def _typographic(number: str) -> str:
    return number.replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in per cent without the sign: 0.8712 is 87.1, -0.01 is −1.0."""
    return _typographic(numbers.percent(value, digits))


def printed(value: float | None) -> str:
    """A figure in per cent with the digits of its source, at least two decimals: 85.8 is 85.80."""
    if value is None:
        return MISSING
    return f"{value:.2f}" if round(value, 2) == value else f"{value:.10g}"


def spread(value: float | None) -> str:
    """A difference between percentages in points, without a sign: 14.7 is 14.70."""
    return MISSING if value is None else f"{value:.2f}"


def points(value: float | None, digits: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign: 0.012 is +1.20."""
    return _typographic(numbers.points(value, digits))


def effect_size(value: float | None) -> str:
    """An effect size with two decimals: -0.5 is −0.50."""
    return MISSING if value is None else _typographic(f"{value:.2f}")


def over_seeds(statistic: Statistic, digits: int = 1) -> str:
    """A mean in per cent, with half its 95 % interval if it has one."""
    return _typographic(numbers.percent_interval(statistic.mean, statistic.interval, digits))


def megabytes(value: float | None) -> str:
    """Bytes in megabytes (10⁶) with three digits."""
    if value is None:
        return MISSING
    return f"{value / 1e6:.3g}" if value < 1e8 else f"{value / 1e6:.0f}"


def millions(value: float | None) -> str:
    """A number of parameters in millions."""
    return MISSING if value is None else f"{value / 1e6:.2f}"


def thousands(value: int) -> str:
    """A whole number in groups of three digits: 60 000."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def moment(when: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return MISSING if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(when: datetime | None, present: datetime) -> str:
    """How long ago a moment was, with the exact moment as its title."""
    if when is None:
        return MISSING
    seconds = max(0.0, (present - when).total_seconds())
    unit, length = next(
        ((name, size) for name, size in _UNITS if seconds >= 2 * size or (seconds >= size and size <= _HOUR)),
        ("s", 1),
    )
    text = "just now" if seconds < 5 else f"{seconds // length:.0f} {unit} ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.astimezone(UTC).isoformat(timespec="seconds"), moment(when), text
    )


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: 1 run, 2 runs."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def pair(value: str) -> tuple[str, str]:
    """A choice whose text is its value."""
    return value, value


def coded(text: str) -> Markup:
    """A sentence whose `backticked` words are code."""
    parts = escape(printable_lines(text)).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def plain(value: object) -> str:
    """A hyper-parameter or a list of values as text."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _typographic(f"{value:.6g}") if isinstance(value, float) else str(value)


def variant(text: str) -> str | Markup:
    """What differs from the method's default; many changes are shortened, with all of them as the title."""
    shown = brief(text)
    return text if shown == text else Markup('<abbr title="{}">{}</abbr>').format(text, shown)


def augmentation(token: str) -> str:
    """A training augmentation with three digits: brightness:0.247."""
    name, colon, number = token.partition(":")
    return f"{name}{colon}{float(number):.3g}" if "." in number else token


def with_query(path: str, query: Mapping[str, object]) -> str:
    """A link: `path` with those parameters of `query` that are not None; a list repeats its parameter."""
    given = {
        name: value if isinstance(value, list) else str(value)
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def with_pairs(path: str, query: Sequence[tuple[str, str]]) -> str:
    """A link with parameters that may repeat."""
    return f"{path}?{urlencode(query)}" if query else path
