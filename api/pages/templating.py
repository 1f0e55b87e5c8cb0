"""`render`: a Jinja2 template as an HTML answer.

Decisions:
    * Everything is escaped; only SVG from `api.pages.figures` is passed as markup.
    * An undefined name in a template is an error, not an empty string.
    * Templates and Python build every address on this site with `url`, so the service also works under a
      proxy's path.
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.http.links import path_of, url
from api.live.ringer import Ringer
from api.pages import formats, wording
from api.pages.snippets import as_command, as_curl
from api.shared import numbers

FOLDER = Path(__file__).parent

_COMPRESSION = 4
_FILTERS = (
    formats.percent,
    formats.printed,
    formats.spread,
    formats.points,
    numbers.p_value,
    formats.effect_size,
    formats.over_seeds,
    formats.megabytes,
    formats.millions,
    formats.thousands,
    numbers.duration,
    formats.moment,
    formats.ago,
    formats.counted,
    formats.pair,
    formats.coded,
    formats.plain,
    formats.variant,
    formats.augmentation,
)
NAVIGATION = (
    ("/", "Tracks"),
    ("/methods", "Methods"),
    ("/datasets", "Datasets"),
    ("/literature", "Literature"),
    ("/jobs", "Jobs"),
    ("/workers", "Workers"),
    ("/submit", "Submit"),
    ("/api", "API"),
)
"""Path and name of every link in the header."""

_GLOBALS = (formats.with_query, formats.with_pairs, as_curl, as_command)


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """The page that a template makes of `values`."""
    return page(request, text_of(request, template, **values), status)


def text_of(request: Request, template: str, **values: Any) -> bytes:
    """The body of the page that a template makes of `values`."""
    ringer: Ringer = request.app.state.ringer
    shared = {
        "request": request,
        "url": partial(url, request),
        "address": request.url.path,
        "section": "/" + path_of(request.scope).split("/")[1],
        "present": datetime.now(UTC),
        "redis_is_away": ringer.is_away,
    }
    return _ENVIRONMENT.get_template(template).render(shared, **values).encode()


def page(request: Request, text: bytes, status: int = 200) -> Response:
    """A finished page, compressed if the browser accepts that: a table of numbers shrinks to a tenth."""
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        text = gzip.compress(text, _COMPRESSION, mtime=0)
    return HTMLResponse(text, status, headers)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=formats.visible,
    )
    environment.filters.update({show.__name__: show for show in _FILTERS})
    environment.globals.update({call.__name__: call for call in _GLOBALS})
    environment.globals |= {"wording": wording, "navigation": NAVIGATION}
    return environment


_ENVIRONMENT = _environment()
