"""Addresses of pages, as other pages link to them."""

import re
from urllib.parse import quote, urlencode

from starlette.requests import Request

from contract.sessions import Origin
from contract.tables import LatencyTable
from server.store.history import Step

_OWN = re.compile(r"/(?!/)[^\\\x00-\x20\x7f]*")


def table_url(device: str, runtime: str, *, space: str = "", origin: Origin = "measured") -> str:
    """The page of one table."""
    return f"/devices/{quote(device)}?{_query(runtime=runtime, space=space, origin=origin)}"


def operator_url(
    device: str, operator: str, runtime: str, *, origin: Origin = "measured", sitting: str = ""
) -> str:
    """The page of an operator in one table; with a sitting, of its samples in that one."""
    query = _query(runtime=runtime, origin=origin, sitting=sitting)
    return f"/devices/{quote(device)}/operators/{quote(operator)}?{query}"


def operator_of(operator: str, table: LatencyTable) -> str:
    """The page of an operator in that table."""
    return operator_url(table.device, operator, table.runtime.key, origin=table.origin)


def step_of(step: Step) -> str:
    """The page of the operator that has the step."""
    return operator_url(step.device, step.operator, step.runtime.key, origin=step.origin)


def here(request: Request) -> str:
    """The address that the request asks for, to come back to; after a form the first page's."""
    if request.method not in ("GET", "HEAD"):
        return "/"
    path = quote(request.scope["path"], safe="/:@!$&'()*+,;=~")
    return f"{path}?{request.url.query}" if request.url.query else path


def named_at(request: Request) -> set[str]:
    """What the address may name as a device: a part of its path, or what a choice begins with."""
    path: str = request.scope["path"]
    return {*path.split("/"), *(_device_of(value) for value in request.query_params.values())}


def with_name(request: Request, was: str, name: str) -> str:
    """The address with another name for the device that it calls `was`."""
    path: str = request.scope["path"]
    parts = [name if part == was else part for part in path.split("/")]
    chosen = [
        (key, name + value[len(was) :] if _device_of(value) == was else value)
        for key, value in request.query_params.multi_items()
    ]
    return quote("/".join(parts)) + (f"?{urlencode(chosen)}" if chosen else "")


def _device_of(choice: str) -> str:
    """A choice is a device, or the address of a table of it."""
    return choice.partition("@")[0]


def is_own(address: str) -> bool:
    """Whether it is a path of this server: browsers take `//host` and `/\\host` for another."""
    return _OWN.fullmatch(address) is not None


def _query(*, origin: Origin, **given: str) -> str:
    told = {key: value for key, value in given.items() if value}
    return urlencode(told if origin == "measured" else {**told, "origin": origin})
