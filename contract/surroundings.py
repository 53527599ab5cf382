"""What the environment says of the way to a server: a proxy to go through, certificates to trust.

Whatever of it cannot be used is told by the name of its variable.
"""

import os
import ssl
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

import httpx

from contract import commands
from contract.errors import PhonebookError

_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # a file goes before a folder
_SPOKEN = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """A proxy on the way to a server, and what named it."""

    url: httpx.URL
    named_by: str


def http_client(
    server: str, *, timeout_s: float, headers: dict[str, str]
) -> tuple[httpx.Client, Proxy | None]:
    """A client of the server at that address, and the proxy that it goes through.

    Raises:
        httpx.InvalidURL: the address is none.
        PhonebookError: the proxy or the certificates cannot be used.
    """
    url = httpx.URL(server)
    proxy = proxy_for(url)
    through = None
    if proxy is not None:
        shown = _trust() if proxy.url.scheme == "https" else None
        through = httpx.Proxy(proxy.url, ssl_context=shown)
    try:
        client = httpx.Client(
            base_url=url,
            proxy=through,
            # A server spoken to in clear shows none, and no redirection to another is followed.
            verify=_trust() if url.scheme == "https" else False,
            timeout=timeout_s,
            headers=headers,
            follow_redirects=False,
            trust_env=False,
        )
    except ImportError as error:
        assert proxy is not None
        raise PhonebookError(
            f"{proxy.named_by} names a {proxy.url.scheme} proxy, which takes a further package: "
            f"`{commands.install_library('httpx[socks]')}`; or {_way_around(url)}"
        ) from error
    return client, proxy


def proxy_for(url: httpx.URL) -> Proxy | None:
    """The proxy that the environment names for that server.

    This computer is never reached through one: it would be another computer's loopback.

    Raises:
        PhonebookError: its address cannot be used.
    """
    if is_loopback(url.host) or _is_exempt(url.host):
        return None
    found = getproxies()
    for scheme in (url.scheme, "all"):
        address = found.get(scheme)
        if address:
            return _proxy(address, named_by=_variable(scheme), url=url)
    return None


def is_loopback(host: str) -> bool:
    """Whether that host is this computer itself."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _proxy(address: str, *, named_by: str, url: httpx.URL) -> Proxy:
    try:
        parsed = httpx.URL(address if "://" in address else f"http://{address}")
    except httpx.InvalidURL as error:
        raise PhonebookError(
            f"{named_by} names no address of a proxy ({error}); {_way_around(url)}"
        ) from error
    if parsed.scheme not in _SPOKEN or not parsed.host:
        raise PhonebookError(
            f"{named_by} names a proxy by {parsed.scheme}://, which no HTTP goes through; give it "
            f"one by http://, or {_way_around(url)}"
        )
    return Proxy(url=parsed, named_by=named_by)


def _way_around(url: httpx.URL) -> str:
    return f"unset it, or add {url.host} to NO_PROXY"


def _variable(scheme: str) -> str:
    """As it is spelled in the environment."""
    wanted = f"{scheme}_proxy"
    spelled = [name for name in (wanted, wanted.upper()) if os.environ.get(name)]
    return spelled[0] if spelled else "the system's settings"


def _is_exempt(host: str) -> bool:
    """By NO_PROXY: names with all below them, addresses, and networks as 10.0.0.0/8."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    entries = [entry.strip(" []") for entry in named.split(",")]
    if "*" in entries or proxy_bypass(host):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in entries:
        try:
            if address in ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def _trust() -> ssl.SSLContext:
    """The certificates that SSL_CERT_FILE or SSL_CERT_DIR name, else the usual ones.

    Raises:
        PhonebookError: they cannot be read.
    """
    file, folder = (os.environ.get(variable) for variable in _TRUST)
    variable, path = (_TRUST[0], file) if file else (_TRUST[1], folder)
    if path:
        try:
            if not file:
                os.listdir(path)  # a folder that is not there would be taken for an empty one
            return ssl.create_default_context(cafile=file, capath=None if file else folder)
        except OSError as error:
            raise PhonebookError(
                f"{variable}: {path} holds no certificates ({error.strerror or error}); name a "
                "file or folder of them, or unset it"
            ) from error
    return httpx.create_ssl_context(trust_env=False)
