"""The table that a search, a prediction or a comparison reads, named by its target."""

from datetime import UTC, datetime

from rich.console import Console

from contract import commands
from contract.client import TableClient, table_client
from contract.errors import (
    IncompleteTable,
    PhonebookError,
    RequestRefused,
    ServerAnsweredNonsense,
    ServerUnreachable,
    near,
)
from contract.problems import NO_SPACE
from contract.runtime import Runtime
from contract.spaces import SearchSpace, ships
from contract.tables import LatencyTable
from search.console import error_console
from search.tables.cache import CachedTable, Question, TableCache


def fetch(
    server: str,
    *,
    target: str,
    space: SearchSpace,
    offline: bool = False,
    console: Console | None = None,
) -> LatencyTable:
    """The target's rows of `space`.

    A target is `DEVICE`, under the device's default runtime, or `DEVICE@RUNTIME`, where RUNTIME
    is a runtime's key or as many of its parts, joined by dashes, as tell it from the device's
    other runtimes: `host@int8`, `host@int8-t2`. Nothing needs to be measured yet under a key that
    is written out.

    Every table is kept on this computer. `offline` takes the kept one, without asking the server,
    and says so on `console`, by default standard error.

    Raises:
        PhonebookError: no such device, no runtime or several with these parts, the server
            refused or did not answer, or, offline, no such table is kept.
    """
    console = console or error_console()
    if offline:
        kept = _kept(server, target, space)
        console.print(f"offline: using {kept.described}; {server} was not asked")
        return kept.table
    device, at, parts = target.partition("@")
    try:
        with table_client(server) as client:
            if not ships(space):
                _check_known(client, space, device)
            runtime = _runtime(client, device, parts) if at else None
            question = _question(server, device, runtime, space)
            return _fetch_and_keep(client, question, runtime, console)
    except ServerUnreachable as error:
        try:
            kept = _kept(server, target, space)
        except PhonebookError:
            raise error from None
        raise ServerUnreachable(f"{error}; or add --offline to use {kept.described}") from error


def _check_known(client: TableClient, space: SearchSpace, device: str) -> None:
    """That the server means the same by the space's name."""
    try:
        known = client.space(space.name)
    except RequestRefused as refusal:
        if refusal.type != NO_SPACE:
            raise
        raise IncompleteTable(
            f"{client.server} knows no space {space.name}, so nothing of it was measured; run "
            f"`{commands.profile(device, space='FILE')}` with its file",
            missing=[operator.key for operator in space.operators],
        ) from refusal
    if known.content_hash != space.content_hash:
        raise PhonebookError(
            f"the space {space.name} holds something else on {client.server} "
            f"({known.content_hash[:12]} and not {space.content_hash[:12]}); rename yours"
        )


def _fetch_and_keep(
    client: TableClient, question: Question, runtime: Runtime | None, console: Console
) -> LatencyTable:
    """The server's table, kept for later; it is sent only if it is not the one kept already."""
    tables = TableCache()
    before = tables.find(question)
    answer = client.newer_table(
        question.device,
        runtime=runtime,
        space=question.space,
        tag=before.tag if before is not None and before.tag else None,
    )
    if answer is not None:
        table, tag = answer
    elif before is not None:
        table, tag = before.table, before.tag
    else:
        raise ServerAnsweredNonsense(f"{client.server} says that a table is current which is not")
    now = datetime.now(UTC)
    try:
        tables.keep(CachedTable(question=question, tag=tag, fetched_at=now, table=table))
    except OSError as error:
        console.print(f"the table could not be kept for --offline: {error}")
    return table


def _kept(server: str, target: str, space: SearchSpace) -> CachedTable:
    """The target's table as it was fetched last.

    Raises:
        PhonebookError: none is kept, or the target's parts tell no single one.
    """
    device, at, parts = target.partition("@")
    question = _question(server, device, None, space)
    tables = TableCache()
    found = tables.others(question)
    if at:
        wanted = set(parts.split("-"))
        fitting = [kept for kept in found if wanted <= set(kept.table.runtime.key.split("-"))]
    else:
        fitting = [kept for kept in found if kept.question.runtime is None]
    if len({kept.table.runtime.key for kept in fitting}) == 1:
        return max(fitting, key=lambda kept: kept.fetched_at)
    keys = sorted({kept.table.runtime.key for kept in fitting or found})
    fault = "several tables are" if fitting else "no table is"
    others = f"; kept are {', '.join(f'{device}@{key}' for key in keys)}" if keys else ""
    broken = tables.broken()
    broken_ones = f"; broken are {', '.join(map(str, broken))}" if broken else ""
    raise PhonebookError(
        f"--offline: {fault} kept of {target} for {space.name} from {server}"
        f"{others}{broken_ones}; run the same once without --offline"
    )


def _question(server: str, device: str, runtime: Runtime | None, space: SearchSpace) -> Question:
    return Question(
        server=server.rstrip("/"),
        device=device,
        runtime=runtime.key if runtime else None,
        space=space.name,
    )


def _runtime(client: TableClient, device: str, parts: str) -> Runtime:
    """The device's only runtime with all of these parts in its key."""
    devices = {known.name: known for known in client.devices()}
    if device not in devices:
        client.check_name(device)
        raise PhonebookError(f"no device {device!r}; {near(device, list(devices))}")
    offered = [summary.runtime for summary in devices[device].runtimes]
    try:
        return Runtime.parse(parts)
    except ValueError:
        wanted = set(parts.split("-"))
    fitting = [runtime for runtime in offered if wanted <= set(runtime.key.split("-"))]
    if len(fitting) == 1:
        return fitting[0]
    fault = (
        f"{len(fitting)} runtimes of {device} have" if fitting else f"no runtime of {device} has"
    )
    keys = ", ".join(runtime.key for runtime in fitting or offered) or "none is measured yet"
    raise PhonebookError(
        f"{device}@{parts}: {fault} {parts!r} in the key; "
        f"write after the @ what only one of them has: {keys}"
    )
