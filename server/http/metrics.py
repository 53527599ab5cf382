"""What Prometheus reads at `/metrics`: requests and how long they took, and what is stored.

Labels are methods, route templates and statuses, of which there are few: never what a client
wrote.
"""

import time
from collections.abc import Iterator
from http import HTTPMethod, HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.database.engine import FileReplaced
from server.store.row_counts import count_devices, rows_by_device

# From an answer that was kept to a page that draws everything.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
UNKNOWN = (
    "unknown"  # the route of a path, and the method of a word, that this server does not know
)
TIMING_STORED = ("POST", "/sessions/{session_id}/timings", HTTPStatus.CREATED)


class Metrics:
    """One application's figures since it started, and those of its database when asked."""

    def __init__(self, reading: sessionmaker[Session]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "phonebook_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "phonebook_request_seconds",
            "From a request's arrival to the end of its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._timings = Counter(
            "phonebook_timings_stored",
            "Timings stored since the server started; repeated posts do not count.",
            registry=self.registry,
        )
        self.registry.register(_Stored(reading))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        if (method, route, status) == TIMING_STORED:
            self._timings.inc()


class _Stored(Collector):
    """What the database holds now. The history, which grows for ever, is not counted."""

    def __init__(self, reading: sessionmaker[Session]) -> None:
        self._reading = reading

    def describe(self) -> Iterator[Metric]:
        """The names alone: nothing is asked of the database before somebody wants to know."""
        yield from (_up(0), _devices(), _rows())

    def collect(self) -> Iterator[Metric]:
        devices, rows = _devices(), _rows()
        try:
            with self._reading() as session:
                devices.add_metric((), count_devices(session))
                for device, origin, count in rows_by_device(session):
                    rows.add_metric((device, origin), count)
        except (OperationalError, FileReplaced):
            yield _up(0)
            return
        yield from (_up(1), devices, rows)


def _up(answers: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "phonebook_database_up", "1 if the database answers, else 0.", value=answers
    )


def _devices() -> GaugeMetricFamily:
    return GaugeMetricFamily("phonebook_devices", "Registered devices.")


def _rows() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "phonebook_rows", "Current rows of all tables.", labels=("device", "origin")
    )


class RequestMetrics:
    """Counts each request under the template of the route that answered it."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def send_and_remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, send_and_remember)
        finally:
            method = scope["method"] if scope["method"] in HTTPMethod.__members__ else UNKNOWN
            seconds = time.perf_counter() - began
            self._metrics.count(method, _template(scope), status, seconds)


def _template(scope: Scope) -> str:
    """`/lut/{device}`; of a mounted folder of files its own path."""
    return str(getattr(scope.get("route"), "path", scope.get("root_path") or UNKNOWN))
