"""Who may do what: the sender's role by token, sign-in or place, and the role a route needs."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from contract import commands
from server.database.engine import FileReplaced
from server.database.transactions import Database
from server.errors import Forbidden, Refusal, TooManyRequests, Unauthenticated
from server.http.bodies import pass_over
from server.http.clock import Clock
from server.http.locality import SAFE_METHODS, check_browser, check_own_page, peer
from server.http.privilege import LocalPrivilege
from server.http.problems import no_database, refused
from server.http.rates import Rates
from server.roles import NOBODY, Caller, Role, covers
from server.settings import Settings
from server.store import sign_ins, tokens
from server.store.tokens import Holder

# What tells nothing that was measured: whether the server lives, its own scripts and its manual.
OPEN_PATHS = (
    *("/healthz", "/readyz", "/sign-in"),
    *("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"),
)
OPEN_FOLDERS = ("/static/", "/static-offline-docs/", "/assets/")
OPEN_WRITES = ("/sign-in", "/sign-out")  # by the server's own pages, as the routes see to

COOKIE = "phonebook"  # has a sign-in's secret
_SCHEME = HTTPBearer(
    scheme_name="token",
    description=f"Made by `{commands.create_token(role='ROLE')}`.",
    auto_error=False,
)


def is_open(path: str) -> bool:
    """Whether anybody may read there, whoever asks."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


class Needs:
    """A dependency that lets nobody pass whose role is less than the one it was made for."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(
        self,
        request: Request,
        declared: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)],
    ) -> None:
        """Compare; who the caller is `Access` has found out. `declared` shows in the API's schema.

        Raises:
            Unauthenticated: nobody in particular asks for what needs a token.
            Forbidden: the token's role does not allow it.
        """
        caller: Caller = request.state.caller
        if caller.role is not None and covers(caller.role, self.role):
            return
        if caller.name is None:
            raise _token_needed(self.role)
        raise Forbidden(
            f"token {caller.name} has the role {caller.role}, and this needs {self.role}; "
            f"`{commands.create_token(role=self.role)}` makes one that may"
        )


def needs(role: Role) -> Needs:
    """`Depends(needs("agent"))`, at a router or a route."""
    return Needs(role)


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


By = Annotated[Caller, Depends(_caller)]


class Access:
    """Finds out who sends each request before its body is looked at, and slows down who writes a
    lot.

    A token goes before a browser's sign-in. Without either: before there is a token, who sits at a
    server that listens on loopback is its admin. Then, and elsewhere, anybody is a reader if reads
    are open, and else nobody in particular.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database,
        settings: Settings,
        local: bool,
        clock: Clock,
    ) -> None:
        self._app = app
        self._database = database
        self._settings = settings
        self._clock = clock
        self._privilege = LocalPrivilege(database, possible=local and settings.spares_tokens)
        self._rates = Rates(settings.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except Refusal as refusal:
            answer = refused(Request(scope), refusal)
        except (OperationalError, FileReplaced) as error:
            answer = no_database(Request(scope), error)
        else:
            await self._app(scope, receive, send)
            return
        await pass_over(scope, receive, self._settings.max_body_bytes)
        await answer(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        scope["state"]["caller"] = NOBODY
        reads = scope["method"] in SAFE_METHODS
        if reads and is_open(scope["path"]):
            return
        if not reads and scope["path"] in OPEN_WRITES:
            self._slow_down(scope, NOBODY)
            return
        try:
            holder = scope["state"]["holder"] = await self._holder(scope)
            caller = await self._without(scope) if holder is None else _caller_of(holder)
            scope["state"]["caller"] = caller
            if caller.role is None and not reads:
                raise _token_needed("agent")
        except Refusal:
            self._slow_down(scope, NOBODY)
            raise
        if not reads:
            self._slow_down(scope, caller)

    async def _holder(self, scope: Scope) -> Holder | None:
        sent = HTTPConnection(scope)
        authorization = sent.headers.get("authorization")
        if authorization is not None:
            kind, token = get_authorization_scheme_param(authorization)
            if kind.lower() != "bearer" or not token:
                raise Unauthenticated(
                    "only bearer tokens are known here; send one as `Authorization: Bearer TOKEN`"
                )
            found = await self._database.glance(_with_token, token)
            return tokens.check(found, self._clock())
        secret = sent.cookies.get(COOKIE)
        if secret is None:
            return None
        signed_in = await self._database.glance(_signed_in, secret, self._clock())
        if signed_in is not None and scope["method"] not in SAFE_METHODS:
            check_own_page(scope)
        return signed_in

    async def _without(self, scope: Scope) -> Caller:
        if await self._privilege.holds(scope):
            check_browser(scope, self._settings.allowed_hosts)
            return Caller(None, "admin")
        return Caller(None, "reader") if self._settings.open_reads else NOBODY

    def _slow_down(self, scope: Scope, caller: Caller) -> None:
        key = f"token {caller.name}" if caller.name else f"address {peer(scope)}"
        wait_s = self._rates.wait_s(key)
        if wait_s:
            raise TooManyRequests(
                f"{key} sends more than {self._settings.rate:g} writes a second; "
                f"go on in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )


def _with_token(engine: Engine, token: str) -> Holder | None:
    with engine.connect() as connection:
        return tokens.find(connection, token)


def _signed_in(engine: Engine, secret: str, now: datetime) -> Holder | None:
    with engine.connect() as connection:
        return sign_ins.find(connection, secret, now)


def _caller_of(holder: Holder) -> Caller:
    return Caller(holder.name, holder.role)


def _token_needed(role: Role) -> Unauthenticated:
    return Unauthenticated(
        f"this needs a token with the role {role} or a greater one: sign in with it in a browser, "
        "or send it as `Authorization: Bearer TOKEN`. The server's keeper makes one with "
        f"`{commands.create_token(role=role)}`. Once there is a token, nobody does "
        "without one, not even at the server's own computer"
    )
