"""The application: `create_app` for whoever has an engine, `app_from_env` for uvicorn."""

from pathlib import Path

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from server import logs, problems
from server.answers import Answers
from server.clock import Clock, utc_now
from server.db import open_database, reading, writing
from server.metrics import Metrics, RequestMetrics
from server.middleware import BodyLimit, RequestLog
from server.routes import agents, assets, audits, devices, health, jobs, pages, sessions, tables
from server.settings import Settings

STATIC = Path(__file__).parent / "static"
SUMMARY = "How long does this operator take on that phone? Durations are in microseconds."


def create_app(engine: Engine, settings: Settings, *, clock: Clock = utc_now) -> FastAPI:
    """The server over this database, whose schema must be at head."""
    sessions_to_read = reading(engine)
    metrics = Metrics(sessions_to_read)
    app: FastAPI = FastAPIOffline(
        title="Phonebook",
        summary=SUMMARY,
        favicon_url="/static/favicon.svg",
        middleware=[
            Middleware(RequestLog),
            Middleware(RequestMetrics, metrics=metrics),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4),
            Middleware(BodyLimit, most_bytes=settings.max_body_bytes),
        ],
    )
    app.state.engine = engine
    app.state.writing = writing(engine)
    app.state.reading = sessions_to_read
    app.state.metrics = metrics
    app.state.answers = Answers()
    app.state.clock = clock
    problems.install(app)
    for part in (devices, sessions, audits, tables, jobs, agents, health, pages, assets):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def app_from_env() -> FastAPI:
    """For `uvicorn --factory server.app:app_from_env`; upgrade the schema before."""
    logs.configure()
    settings = Settings()
    return create_app(open_database(settings.database_url), settings)
