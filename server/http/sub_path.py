"""A server behind a proxy that shows it below a path of its own: `--root-path /phonebook`."""

import re

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from server.http.middleware import DOCS_PATHS

_LINKS = re.compile(r'(\s(?:href|src|action)=")(/(?!/)[^"]*)')


class SubPath:
    """Takes requests with that path before their own, and without: proxies do the one or the
    other. All that is within knows none of it."""

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._root_path and scope["type"] == "http":
            path: str = scope["path"]
            if path == self._root_path or path.startswith(f"{self._root_path}/"):
                path = path.removeprefix(self._root_path) or "/"
            # FastAPI's own pages make their links of it; a mount would look below it.
            root_path = self._root_path if path in (*DOCS_PATHS, "/openapi.json") else ""
            raw = path.encode("ascii", "ignore")
            scope = {**scope, "path": path, "raw_path": raw, "root_path": root_path}
        await self._app(scope, receive, send)


def from_outside(request: Request, address: str) -> str:
    """The path of this server as a browser has to ask for it."""
    root_path: str = request.app.state.root_path
    return f"{root_path}{address}"


def linked_from_outside(page: str, root_path: str) -> str:
    """The page, its links to this server's paths as a browser has to ask for them."""
    return _LINKS.sub(rf"\g<1>{root_path}\g<2>", page)
