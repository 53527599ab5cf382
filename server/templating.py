"""The templates, what they know everywhere, and the pages that say no or ask who it is."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

from server import links, words
from server.roles import NOBODY
from server.routes.assets import PLOTLY_PATH


class Section(NamedTuple):
    """An entry of the navigation: its address, which the addresses of its pages begin with."""

    title: str
    path: str
    others: tuple[str, ...] = ()  # how further addresses of the section begin

    def holds(self, path: str) -> bool:
        """Whether the page at that path is of this section."""
        return path == self.path or path.startswith(
            tuple(f"{begin}/" for begin in (self.path, *self.others) if begin != "/")
        )


NAVIGATION = (
    Section("Overview", "/", ("/devices",)),
    Section("History", "/history"),
    Section("Compare", "/compare"),
    Section("Networks", "/networks"),
    Section("Searches", "/searches"),
    Section("Fleet", "/fleet"),
    Section("Export", "/export"),
    Section("API", "/docs"),
)


def _who(request: Request) -> dict[str, Any]:
    return {"who": getattr(request.state, "caller", NOBODY), "here": links.here(request)}


TEMPLATES = Jinja2Templates(Path(__file__).parent / "templates", context_processors=[_who])
TEMPLATES.env.filters |= {
    "runtime_words": words.runtime_words,
    "conditions_words": words.conditions_words,
    "percent": words.percent,
    "signed_percent": words.signed_percent,
    "microseconds": words.microseconds,
    "gibibytes": words.gibibytes,
    "counted": words.counted,
    "age": words.age,
    "work_words": words.work_words,
    "state_words": words.state_words,
    "stamp": words.stamp,
    "duration": words.duration,
    "place": words.place,
    "slot_words": words.slot_words,
    "operator_url": links.operator_of,
    "step_url": links.step_of,
}
TEMPLATES.env.globals |= {"plotly_path": PLOTLY_PATH, "navigation": NAVIGATION}


def asks_for_page(request: Request) -> bool:
    """Whether a browser asks for something to show, by a link or a form, rather than a program
    for data."""
    return "text/html" in request.headers.get("accept", "")


def refusal_page(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The page that says what is wrong and where to go: to sign in, where that may mend it."""
    if status == HTTPStatus.UNAUTHORIZED:
        return sign_in_page(request, links.here(request), detail, headers=headers)
    context = {"status": status, "detail": detail}
    return TEMPLATES.TemplateResponse(request, "refusal.html", context, status, headers)


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
    return TEMPLATES.TemplateResponse(request, "sign_in.html", context, status, headers)
