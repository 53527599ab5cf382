"""Pages as routes: rendered with their charts, which are downloads too, or refused as pages."""

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from server.errors import Refusal, Renamed
from server.http.access import needs
from server.http.problems import asks_for_page, explained
from server.pages.charts import Chart, download
from server.pages.links import named_at, with_name
from server.pages.refusals import refusal_page
from server.pages.templating import page


class PageRoute(APIRoute):
    """A route whose refusals are pages, whoever asks; those of a chart's rows are as the API's.

    A page of a device that has another name now leads to that of the same under this name.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_or_explain(request: Request) -> Response:
            try:
                return await answer(request)
            except (Refusal, RequestValidationError) as error:
                if "chart" in request.query_params:
                    raise
                if isinstance(error, Renamed) and error.was in named_at(request):
                    return RedirectResponse(with_name(request, error.was, error.name))
                if isinstance(error, RequestValidationError):
                    status = HTTPStatus.UNPROCESSABLE_ENTITY
                    return refusal_page(request, status, explained(error.errors()))
                return refusal_page(request, error.status, str(error), headers=error.headers)

        return answer_or_explain


class SharedPageRoute(PageRoute):
    """A page at an address of the API: for browsers, and for whoever wants a chart's rows.

    Anybody else is left to the API's route, which comes after it.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, its = super().matches(scope)
        if match is not Match.NONE:
            request = Request(scope)
            if not asks_for_page(request) and "chart" not in request.query_params:
                return Match.NONE, {}
        return match, its


def page_router(route_class: type[PageRoute] = PageRoute) -> APIRouter:
    """A router for pages, which readers may see."""
    return APIRouter(
        route_class=route_class,
        default_response_class=HTMLResponse,
        include_in_schema=False,
        dependencies=[Depends(needs("reader"))],
    )


def render(
    request: Request, template: str, *, charts: Sequence[Chart] = (), **context: object
) -> Response:
    """The page, or with `?chart=ID` in its URL that chart's rows: `&format=csv`, else JSON.

    The template draws `charts.ID` with the macro `chart`.

    Raises:
        NotFound: no such chart.
    """
    wanted = request.query_params.get("chart")
    if wanted is not None:
        return download(charts, wanted, format=request.query_params.get("format", "json"))
    state = {key: value for key, value in request.query_params.items() if value}
    by_id = {chart.id: chart for chart in charts}
    return page(request, template, {**context, "charts": by_id, "state": state})
