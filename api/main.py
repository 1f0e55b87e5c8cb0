"""`create_app`: the API and the pages, put together.

Run it with `uvicorn --factory api.main:from_environment`; `Settings` reads the environment. Decisions:
    * Nothing is opened when this module is imported, and the database only when it is first asked: the process starts and says it lives while the
      database is still away.
    * The interactive documentation of FastAPI is off: it loads scripts from elsewhere, which the content security policy forbids.
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
from api.pages import runs as run_pages
from api.routes import (
    catalog,
    comparisons,
    health,
    job_events,
    jobs,
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
"""When what is loaded is declared permanent: once the process is up, and when it has been used."""

_YOUNG_COLLECTIONS_A_FULL_ONE = 100
"""Python's own number is 10."""

_ROUTES = (
    tracks.router,
    jobs.router,
    job_events.router,
    runs.router,
    reported.router,
    comparisons.router,
    snapshot.router,
    catalog.router,
    tokens.router,
)
"""What is asked most comes first: a request is compared with each route before its own."""

_PAGES = (
    home.router,
    track.router,
    compare.router,
    ranks.router,
    run_pages.router,
    job_pages.router,
    submit.router,
    budgets.router,
    catalog_pages.router,
    problem_page.router,
    reference.router,
)


def from_environment() -> FastAPI:
    """The application of a process of its own, which logs as the service does: `Middleware` logs every request, so uvicorn need not."""
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
    """Load what the first leaderboard needs, and take what is there for good out of the garbage collector's way.

    A full collection looks at every object of every library, a tenth of a second in which nobody is answered, and answers of many rows bring it about often.
    What is left to it, such as the entries that are kept, changes slowly: it comes ten times more rarely than it would.
    """
    importlib.import_module("scipy.special")
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], _YOUNG_COLLECTIONS_A_FULL_ONE)


def create_app(settings: Settings) -> FastAPI:
    """The application with these settings; logging is left as it is."""
    app = FastAPI(
        title="CIL leaderboard", version=__version__, summary="A benchmark leaderboard for class-incremental learning.", description=openapi.DESCRIPTION,
        openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, lifespan=_lifespan,
    )  # fmt: skip
    _keep(app, settings)
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


def _keep(app: FastAPI, settings: Settings) -> None:
    """What lives as long as the application."""
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
