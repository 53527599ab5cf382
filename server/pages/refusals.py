"""The pages that say no, or ask who it is."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request, Response

from server.pages.links import here
from server.pages.templating import page


def refusal_page(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The page that says what is wrong and where to go: to sign in, where that may mend it."""
    if status == HTTPStatus.UNAUTHORIZED:
        return sign_in_page(request, here(request), detail, headers=headers)
    context = {"status": status, "detail": detail}
    return page(request, "refusal.html", context, status=status, headers=headers)


def sign_in_page(
    request: Request,
    then: str,
    refusal: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The form for a token; who has signed in is shown the page `then`."""
    status = HTTPStatus.OK if refusal is None else HTTPStatus.UNAUTHORIZED
    context = {"then": then, "refusal": refusal}
    return page(request, "sign_in.html", context, status=status, headers=headers)
