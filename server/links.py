"""Addresses of pages, as other pages link to them."""

from urllib.parse import quote, urlencode

from contract.tables import LatencyTable
from contract.timings import Origin
from server.store.history import Step


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


def _query(*, origin: Origin, **given: str) -> str:
    told = {key: value for key, value in given.items() if value}
    return urlencode(told if origin == "measured" else {**told, "origin": origin})
