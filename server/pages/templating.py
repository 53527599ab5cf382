"""The templates, and what they know everywhere."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import pass_context
from jinja2.runtime import Context

from contract import commands, job_words, times
from server.http.sub_path import linked_from_outside
from server.pages import formatting, links
from server.pages.assets import PLOTLY_PATH
from server.roles import NOBODY


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
    return {
        "who": getattr(request.state, "caller", NOBODY),
        "here": links.here(request),
        "now": request.app.state.clock(),
    }


@pass_context
def _age(context: Context, moment: datetime) -> str:
    """How long ago, by the application's clock."""
    return times.age(moment, context["now"])


_HERE = Path(__file__).parent

# What pages share is named by its file, what is one page's alone by that page too:
# `device/device.html`.
TEMPLATES = Jinja2Templates([_HERE / "templates", _HERE], context_processors=[_who])
TEMPLATES.env.filters |= {
    "runtime_words": formatting.runtime_words,
    "conditions_words": formatting.conditions_words,
    "percent": formatting.percent,
    "signed_percent": formatting.signed_percent,
    "microseconds": formatting.microseconds,
    "gibibytes": formatting.gibibytes,
    "counted": formatting.counted,
    "age": _age,
    "work_words": job_words.work_words,
    "state_words": job_words.state_words,
    "stamp": times.stamp,
    "duration": formatting.duration,
    "place": formatting.place,
    "slot_words": formatting.slot_words,
    "search_title": formatting.search_title,
    "table_title": formatting.table_title,
    "operator_url": links.operator_of,
    "step_url": links.step_of,
}
TEMPLATES.env.globals |= {
    "plotly_path": PLOTLY_PATH,
    "navigation": NAVIGATION,
    "commands": commands,
}


def page(
    request: Request,
    template: str,
    context: dict[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The template's page. Templates name this server's paths from its root; a browser may have
    to ask for them below a path of a proxy."""
    answer = TEMPLATES.TemplateResponse(request, template, context, status, headers)
    root_path: str = request.app.state.root_path
    if root_path:
        answer.body = linked_from_outside(bytes(answer.body).decode(), root_path).encode()
        answer.headers["content-length"] = str(len(answer.body))
    return answer
