"""What the API's schema says of every operation: how it may be refused, and in which form."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from contract.problems import Problem
from server.http.problems import MEDIA_TYPE

_METHODS = ("get", "put", "post", "delete", "patch")
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def install(app: FastAPI) -> None:
    """Let the schema of `app` tell what the middleware and the error handlers answer."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(describe())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with every refusal as a problem document."""
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components.setdefault("Problem", Problem.model_json_schema())
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's form, which we never send
        components.pop(name, None)
    for operation in _operations(schema):
        responses = operation["responses"]
        for status in _refusals(operation):
            responses.setdefault(str(status.value), {"description": status.phrase})
        for status, response in responses.items():
            if status >= "400":
                response["content"] = _PROBLEM
        operation["responses"] = dict(sorted(responses.items()))
    return schema


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        yield from (path[method] for method in _METHODS if method in path)


def _refusals(operation: dict[str, Any]) -> Iterator[HTTPStatus]:
    """What may answer before the route does, or in its place."""
    if "security" in operation:
        yield from (
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,  # the database is away
        )
    if "parameters" in operation:
        yield HTTPStatus.UNPROCESSABLE_ENTITY  # what a database cannot store, say
    if "requestBody" in operation:
        yield from (
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
