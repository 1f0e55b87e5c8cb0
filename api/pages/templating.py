"""`render`: a Jinja2 template as an HTML answer, and the filters that turn values into text.

Decisions:
    * Everything is escaped; only SVG drawn by `api.pages.figures.svg` is passed as markup.
    * A missing value is an en dash, never an empty cell or a zero.
    * An undefined name in a template is an error, not an empty string.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from api.live.ringer import Ringer
from api.pages.snippets import as_command, as_curl
from api.shared.variants import brief
from store.leaderboard.statistics import Statistic

FOLDER = Path(__file__).parent
MISSING = "–"


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """The page a template makes of `values`."""
    return page(request, text_of(request, template, **values), status)


def text_of(request: Request, template: str, **values: Any) -> bytes:
    """What `render` sends, before it is sent."""
    ringer: Ringer = request.app.state.ringer
    shared = {
        "request": request,
        "path": request.url.path,
        "present": datetime.now(UTC),
        "redis_is_away": ringer.is_away,
    }
    return _ENVIRONMENT.get_template(template).render(shared, **values).encode()


def page(request: Request, text: bytes, status: int = 200) -> Response:
    """A finished page, compressed if the browser takes that: a table of numbers shrinks to a tenth."""
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return HTMLResponse(
            gzip.compress(text, _COMPRESSION, mtime=0), status, {**headers, "Content-Encoding": "gzip"}
        )
    return HTMLResponse(text, status, headers)


_COMPRESSION = 4


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as per cent without the sign of it: 0.8712 is 87.1, -0.01 is −1.0."""
    return MISSING if value is None else f"{100 * value:.{digits}f}".replace("-", "−")


def over_seeds(statistic: Statistic, digits: int = 1) -> str:
    """A mean as per cent, with half its 95 % interval where there is one."""
    mean = percent(statistic.mean, digits)
    return (
        mean
        if statistic.interval is None
        else f"{mean} ± {percent(statistic.interval[1] - statistic.mean, digits)}"
    )


def megabytes(value: float | None) -> str:
    """Bytes as megabytes (10⁶), three digits of them."""
    if value is None:
        return MISSING
    return f"{value / 1e6:.3g}" if value < 1e8 else f"{value / 1e6:.0f}"


def millions(value: float | None) -> str:
    """A number of parameters in millions."""
    return MISSING if value is None else f"{value / 1e6:.2f}"


def duration(seconds: float | None) -> str:
    """Seconds as a person reads them: 42 s, 3 min 20 s, 5 h 10 min."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(when: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return MISSING if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(when: datetime | None, present: datetime) -> str:
    """How long ago a moment was, with the moment itself for whoever points at it."""
    if when is None:
        return MISSING
    seconds = max(0.0, (present - when).total_seconds())
    unit, length = next(
        ((name, size) for name, size in _UNITS if seconds >= 2 * size or (seconds >= size and size <= _HOUR)),
        ("s", 1),
    )
    said = "just now" if seconds < 5 else f"{seconds // length:.0f} {unit} ago"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        when.astimezone(UTC).isoformat(timespec="seconds"), moment(when), said
    )


_HOUR = 3600
_UNITS = (("years", 31_557_600), ("months", 2_629_800), ("days", 86_400), ("h", _HOUR), ("min", 60))


def coded(text: str) -> Markup:
    """A sentence whose `backticked` words are code."""
    parts = escape(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def with_query(path: str, query: Mapping[str, object]) -> str:
    """A link: `path` with those of `query` that are not None; of a list, every value."""
    given = urlencode(
        {
            name: value if isinstance(value, list) else str(value)
            for name, value in query.items()
            if value is not None
        },
        doseq=True,
    )
    return f"{path}?{given}" if given else path


def with_pairs(path: str, query: Sequence[tuple[str, str]]) -> str:
    """A link with parameters that may repeat."""
    return f"{path}?{urlencode(query)}" if query else path


def plain(value: object) -> str:
    """A hyper-parameter or a list of values as text; what is not there is an en dash."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}".replace("-", "−") if isinstance(value, float) else str(value)


def variant(text: str) -> str | Markup:
    """What tells an entry from its method's default; of many changes some, and all of them as its title. They are in the exports and in the JSON too."""
    shown = brief(text)
    return text if shown == text else Markup('<abbr title="{}">{}</abbr>').format(text, shown)


def short(token: str) -> str:
    """An augmentation with three decimals: brightness:0.247."""
    name, colon, number = token.partition(":")
    return f"{name}{colon}{float(number):.3g}" if "." in number else token


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for show in (
        percent,
        over_seeds,
        megabytes,
        millions,
        duration,
        moment,
        ago,
        coded,
        plain,
        short,
        variant,
    ):
        environment.filters[show.__name__] = show
    for call in (with_query, with_pairs, as_curl, as_command):
        environment.globals[call.__name__] = call
    return environment


_ENVIRONMENT = _environment()
