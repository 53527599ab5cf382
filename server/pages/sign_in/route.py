"""`/sign-in` and `/sign-out`: a browser shows a token once and is known by its cookie then."""

from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from server.errors import Unauthenticated
from server.http.access import COOKIE
from server.http.dependencies import Now, TheDatabase
from server.http.locality import check_own_page
from server.http.sub_path import from_outside
from server.pages.links import is_own
from server.pages.refusals import sign_in_page
from server.pages.rendering import PageRoute
from server.store import sign_ins

MOST_FIELDS = 10

router = APIRouter(
    route_class=PageRoute, default_response_class=HTMLResponse, include_in_schema=False
)


@router.get("/sign-in")
async def form(request: Request, next: str = "/") -> Response:
    """The form, for whoever may read without a token and wants to do more."""
    return sign_in_page(request, _own(next))


@router.post("/sign-in")
async def sign_in(request: Request, database: TheDatabase, now: Now) -> Response:
    """Take the form's token for a cookie, and go on to where its `next` says."""
    check_own_page(request.scope)
    fields = await _fields(request)
    then = _own(fields.get("next", "/"))
    try:
        secret, end = await database.write(sign_ins.sign_in, fields.get("token", "").strip(), now)
    except Unauthenticated as refusal:
        return sign_in_page(request, then, str(refusal), headers=refusal.headers)
    answer = RedirectResponse(from_outside(request, then), 303)
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int((end - now).total_seconds()),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, database: TheDatabase) -> Response:
    """Forget the browser, and let it forget the cookie."""
    check_own_page(request.scope)
    secret = request.cookies.get(COOKIE)
    if secret is not None:
        await database.write(sign_ins.sign_out, secret)
    answer = RedirectResponse(from_outside(request, "/"), 303)
    answer.delete_cookie(
        COOKIE, secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )
    return answer


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form as browsers send them by default."""
    body = (await request.body()).decode(errors="replace")
    try:
        return dict(parse_qsl(body, max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def _own(address: str) -> str:
    """Never another server's address, to which somebody's link might lead by way of the form."""
    return address if is_own(address) else "/"
