"""Every error as a problem document (RFC 9457), or as a page for a browser: who, what, and what
to do next."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy.exc import DataError, InternalError, OperationalError
from starlette.exceptions import HTTPException

from contract.problems import ANY_PROBLEM, Problem
from server.database.engine import FileReplaced, is_disk_full
from server.errors import Refusal
from server.http.middleware import BROWSER_HEADERS, REQUEST_ID

MEDIA_TYPE = "application/problem+json"
MOST_FIELDS = 3
DISK_FULL = (
    "the disk of the database is full, and nothing was stored; make room there, then send it again"
)

log = structlog.get_logger(__name__)


class RefusalPage(Protocol):
    """Makes the page that tells somebody what is wrong."""

    def __call__(
        self,
        request: Request,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response: ...


def install(app: FastAPI, page: RefusalPage) -> None:
    """Answer every error of `app` with a problem document, or with that page."""
    app.state.refusal_page = page

    @app.exception_handler(Refusal)
    async def refusal(request: Request, error: Refusal) -> Response:
        return refused(request, error)

    @app.exception_handler(RequestValidationError)
    async def wrong_fields(request: Request, error: RequestValidationError) -> Response:
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, explained(error.errors()))

    @app.exception_handler(HTTPException)
    async def refused_by_framework(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        where = f"{request.method} {request.url.path}"
        detail = (
            error.detail if error.detail != status.phrase else f"{where}: {status.description}"
        )
        return problem(request, status, detail, headers=error.headers)

    @app.exception_handler(DataError)
    async def not_storable(request: Request, error: DataError) -> Response:
        detail = f"the database cannot store a value: {error.orig}"
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail)

    @app.exception_handler(OperationalError)
    async def database_away(request: Request, error: OperationalError) -> Response:
        return no_database(request, error)

    @app.exception_handler(FileReplaced)
    async def file_replaced(request: Request, error: FileReplaced) -> Response:
        return no_database(request, error)

    @app.exception_handler(InternalError)
    async def not_written(request: Request, error: InternalError) -> Response:
        if not isinstance(error.orig, ReadOnlySqlTransaction):
            return await failed(request, error)
        log.error("the database takes no writes", reason=str(error.orig))
        return problem(
            request,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the database can only be read now; try again in a while",
        )

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        request_id = request.state.request_id
        log.error("the request failed", request_id=request_id, exc_info=error)
        return problem(
            request,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"the server failed at this request; its log tells why at request_id {request_id}",
            headers={REQUEST_ID: request_id, **BROWSER_HEADERS},
        )


def refused(request: Request, refusal: Refusal) -> Response:
    """The answer that a refusal stands for."""
    return _answer(request, refusal.document(), headers=refusal.headers)


def no_database(request: Request, error: OperationalError | FileReplaced) -> Response:
    """The answer while the database is away, or another."""
    if isinstance(error, FileReplaced):
        log.error("the database file is another one", reason=str(error))
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    log.error("the database did not answer", reason=str(error.orig))
    return problem(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        DISK_FULL if is_disk_full(error) else "the database does not answer; try again in a while",
        headers={"Retry-After": "5"},
    )


def problem(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that says no: a page for a browser, a problem document for a program."""
    document = Problem(type=ANY_PROBLEM, title=status.phrase, status=status, detail=detail)
    return _answer(request, document, headers=headers)


def _answer(
    request: Request, document: Problem, *, headers: Mapping[str, str] | None = None
) -> Response:
    status = HTTPStatus(document.status)
    if asks_for_page(request):
        page: RefusalPage = request.app.state.refusal_page
        return page(request, status, document.detail, headers=headers)
    return JSONResponse(
        document.model_dump(mode="json"), status.value, headers=headers, media_type=MEDIA_TYPE
    )


def asks_for_page(request: Request) -> bool:
    """Whether a browser asks for something to show, by a link or a form, rather than a program
    for data."""
    return "text/html" in request.headers.get("accept", "")


def explained(errors: Sequence[Mapping[str, object]]) -> str:
    """`body.rounds_us.0.1: Input should be greater than 0`, for the first few fields.

    The value itself is left out: NaN has no place in JSON, and a body may be large.
    """
    fields = [f"{_field(error['loc'])}: {error['msg']}" for error in errors[:MOST_FIELDS]]
    rest = len(errors) - MOST_FIELDS
    return "; ".join(fields) + (f"; and {rest} more" if rest > 0 else "")


def _field(location: object) -> str:
    assert isinstance(location, tuple)
    return ".".join(str(part) for part in location)
