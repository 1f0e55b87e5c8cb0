"""`create_app`: the application with the API and the pages.

Run it with `uvicorn --factory api.main:from_environment`; `Settings` reads the environment. Behind a proxy
that serves the site below a path, add `--root-path /PATH`. Decisions:
    * Importing this module opens nothing, and the first query opens the database: the process is alive before
      the database responds.
    * FastAPI's interactive documentation is off: it loads scripts of other origins, which the content
      security policy forbids.
"""

from __future__ import annotations

import gc
import importlib
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from api import errors, openapi
from api.http.cursors import Cursors
from api.http.metrics import Metrics
from api.http.middleware import Middleware
from api.http.rates import Rates
from api.live.answer_cache import AnswerCache
from api.live.event_feed import EventFeed
from api.live.revisions import Revisions
from api.live.ringer import Ringer
from api.pages import budgets, compare, home, problem_page, ranks, reference, submit, track
from api.pages import catalog as catalog_pages
from api.pages import jobs as job_pages
from api.pages import literature as literature_pages
from api.pages import runs as run_pages
from api.routes import (
    catalog,
    comparisons,
    health,
    job_events,
    jobs,
    literature,
    reported,
    runs,
    snapshot,
    tokens,
    tracks,
)
from api.settings import Settings
from api.submission import Submissions
from cil_core import __version__
from store import logs
from store.database.session import Database

SETTLES_AFTER_SECONDS = (1.0, 30.0)
"""When loaded objects leave the garbage collector: after the start, and after some use."""

_YOUNG_COLLECTIONS_A_FULL_ONE = 100
"""Python's default is 10."""

_ROUTES = (
    tracks.router,
    jobs.router,
    job_events.router,
    runs.router,
    reported.router,
    comparisons.router,
    literature.router,
    snapshot.router,
    catalog.router,
    tokens.router,
)
"""In order of use: a request is compared with every route before its own."""

_PAGES = (
    home.router,
    track.router,
    compare.router,
    ranks.router,
    run_pages.router,
    job_pages.router,
    submit.router,
    budgets.router,
    literature_pages.router,
    catalog_pages.router,
    problem_page.router,
    reference.router,
)


def from_environment() -> FastAPI:
    """The application of a server process, with its logging: requests are logged by the middleware."""
    settings = Settings()
    logs.configure(settings.log_format)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    for seconds in SETTLES_AFTER_SECONDS:
        timer = threading.Timer(seconds, _settle)
        timer.daemon = True
        timer.start()
    return create_app(settings)


def _settle() -> None:
    """Import what the first leaderboard needs, and exempt permanent objects from garbage collection.

    A full collection traverses the objects of every library and blocks all requests for a tenth of a second.
    Responses with many rows trigger it often. The remaining objects change slowly, so it may run ten times
    less often.
    """
    importlib.import_module("scipy.special")
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], _YOUNG_COLLECTIONS_A_FULL_ONE)


def create_app(settings: Settings) -> FastAPI:
    """The application with these settings; logging stays as configured."""
    app = FastAPI(
        title="CIL leaderboard",
        version=__version__,
        summary="A benchmark leaderboard for class-incremental learning.",
        description=openapi.DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    _attach(app, settings)
    versioned = APIRouter(prefix="/api/v1")
    for router in _ROUTES:
        versioned.include_router(router)
    for router in (versioned, health.router, *_PAGES):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "pages" / "static"), name="static")
    errors.install(app)
    openapi.install(app)
    app.add_middleware(Middleware, max_body_bytes=settings.max_body_bytes)
    return app


def _attach(app: FastAPI, settings: Settings) -> None:
    """Create the objects that live as long as the application."""
    database = Database(settings.database_url)
    app.state.settings = settings
    app.state.database = database
    app.state.ringer = Ringer(settings.redis_url)
    app.state.cursors = Cursors(settings.secret_key.get_secret_value())
    app.state.feed = feed = EventFeed(
        database, settings.event_poll, settings.max_event_streams, settings.max_event_streams_per_address
    )
    app.state.answers = AnswerCache()
    app.state.revisions = Revisions(database)
    app.state.rates = Rates(settings.redis_url)
    app.state.submissions = Submissions(database, settings)
    app.state.metrics = Metrics(database, lambda: feed.listeners)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.feed.close()
    app.state.database.dispose()
