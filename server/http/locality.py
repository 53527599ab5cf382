"""Where a request comes from: this very computer, a page of this server, or another's page."""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from server.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "via", "x-real-ip")


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches that address or name."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def peer(scope: Scope) -> str:
    """The address at the other end of the connection; empty where there is none."""
    return scope["client"][0] if scope.get("client") else ""


def is_from_here(scope: Scope) -> bool:
    """Whether the peer is this computer, and speaks for itself rather than for another."""
    headers = Headers(scope=scope)
    forwards = any(name in _FORWARDED or name.startswith("x-forwarded-") for name in headers)
    return is_loopback(peer(scope)) and not forwards


def check_browser(scope: Scope, allowed_hosts: Sequence[str]) -> None:
    """Refuse what a web page of another origin makes the browser of this computer's user send.

    A name that its owner has just pointed to loopback makes a foreign page look like one of this
    server (DNS rebinding), so the `Host` must be a loopback name or an allowed one.

    Raises:
        Forbidden: the page or the name is not of this server.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    name = host_name(host)
    if not is_loopback(name) and name not in {allowed.lower() for allowed in allowed_hosts}:
        raise Forbidden(
            f"without a token this server answers to loopback names alone, not to {host!r}; use "
            "127.0.0.1 or localhost, name the host in PHONEBOOK_ALLOWED_HOSTS, or send a token"
        )
    if scope["method"] not in SAFE_METHODS:
        check_own_page(scope)


def check_own_page(scope: Scope) -> None:
    """Refuse what a browser sends for a web page of another origin: this server's own may.

    A browser sends at least one of two headers with a write; other programs send neither.

    Raises:
        Forbidden: the page is not of this server.
    """
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    is_foreign = origin is not None and _authority(origin) != headers.get("host", "").lower()
    if is_foreign or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden(
            "a web page of another origin caused this write; without a token in its header only "
            "this server's own pages and programs may write. A proxy must hand on the `Host` "
            "that the browser sent"
        )


def host_name(authority: str) -> str:
    """`127.0.0.1:8420` without its port, `[::1]:8420` without brackets too, in lower case."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _authority(origin: str) -> str:
    """`http://127.0.0.1:8420` without its scheme; `null`, which is nobody's, has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
