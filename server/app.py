"""The application: `create_app` for whoever has an engine, `app_from_env` for uvicorn."""

from pathlib import Path

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from server.api.routers import ROUTERS
from server.database.engine import open_database
from server.database.transactions import LONGEST_WAIT_S, Database
from server.http import api_schema, logs, problems
from server.http.access import Access
from server.http.answer_cache import AnswerCache
from server.http.bodies import WholeBodies
from server.http.clock import Clock, utc_now
from server.http.metrics import Metrics, RequestMetrics
from server.http.middleware import HeadAsGet, RequestLog
from server.http.sub_path import SubPath
from server.http.token_uses import TokenUses
from server.pages.fleet.events import Listeners
from server.pages.refusals import refusal_page
from server.pages.routers import AFTER_THE_API, BEFORE_THE_API
from server.settings import Settings, read_settings
from server.store.history import Histories
from server.store.versions import Versions
from server.tokens import require_one

STATIC = Path(__file__).parent / "pages" / "static"
SUMMARY = "How long does this operator take on that phone? Durations are in microseconds."


def create_app(
    engine: Engine,
    settings: Settings,
    *,
    local: bool = False,
    clock: Clock = utc_now,
    longest_wait_s: float = LONGEST_WAIT_S,
) -> FastAPI:
    """The server over this database, whose schema must be at head.

    `local` says that it listens on a loopback address alone, so that who sits at this computer
    needs no token.
    """
    database = Database(engine, longest_wait_s=longest_wait_s)
    metrics = Metrics(database.reading)
    app: FastAPI = FastAPIOffline(
        title="Phonebook",
        summary=SUMMARY,
        favicon_url=f"{settings.root_path}/static/favicon.svg",
        middleware=[
            Middleware(SubPath, root_path=settings.root_path),
            Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.proxies)),
            Middleware(TokenUses, database=database, clock=clock),
            Middleware(RequestLog),
            Middleware(RequestMetrics, metrics=metrics),
            Middleware(HeadAsGet),
            Middleware(Access, database=database, settings=settings, local=local, clock=clock),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4),
            Middleware(WholeBodies, most_bytes=settings.max_body_bytes),
        ],
    )
    app.state.database = database
    app.state.metrics = metrics
    app.state.answers = AnswerCache()
    app.state.versions = Versions(database)
    app.state.histories = Histories()
    app.state.clock = clock
    app.state.root_path = settings.root_path
    app.state.listeners = Listeners(database, clock)
    problems.install(app, refusal_page)
    api_schema.install(app)
    # As they are: `include_router` would have every route analysed anew, by the first requests.
    for router in (*BEFORE_THE_API, *ROUTERS, *AFTER_THE_API):
        app.router.routes.extend(router.routes)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def app_from_env() -> FastAPI:
    """For `uvicorn --factory server.app:app_from_env`; upgrade the schema before.

    Nothing tells it where uvicorn listens, so whoever writes needs a token.

    Raises:
        PhonebookError: there is no token yet.
    """
    logs.configure()
    settings = read_settings()
    engine = open_database(settings.database_url)
    require_one(engine, "a server under uvicorn can be reached by others")
    return create_app(engine, settings)
