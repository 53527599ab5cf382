"""The table that a search, a prediction or a comparison reads, named by its address."""

from collections.abc import Callable
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
from contract.problems import NO_SPACE, NO_TABLE
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.spaces import SearchSpace, ships
from contract.table_keys import TableAddress
from contract.tables import LatencyTable
from search.console import error_console
from search.tables.cache import CachedTable, Question, TableCache

Answer = tuple[LatencyTable, str] | None  # as `TableClient.newer_table` gives it


def fetch(
    server: str,
    *,
    target: str,
    space: SearchSpace,
    offline: bool = False,
    console: Console | None = None,
    answered_before: bool = False,
) -> LatencyTable:
    """The target's rows of `space`.

    A target is a table's address (`contract.table_keys`). In place of a runtime's key as many of
    its parts will do, joined by dashes, as tell it from the device's other runtimes: `host@int8`,
    `host@int8-t2`. Nothing needs to be measured yet under a key that is written out. Without an
    origin the rows were measured; where nothing was measured on the device, they are imported
    ones. Emulated rows are never given unasked.

    Every table is kept on this computer. `offline` takes the kept one, without asking the server,
    and says so on `console`, by default standard error. `answered_before` says that the server
    has answered this program already.

    Raises:
        PhonebookError: no such device, no runtime or several with these parts, the server
            refused or did not answer, or, offline, no such table is kept.
    """
    console = console or error_console()
    address = TableAddress.parse(target)
    if offline:
        kept = _kept(server, address, space)
        console.print(f"offline: using {kept.described}; {server} was not asked")
        return kept.table
    try:
        with table_client(server, answered_before=answered_before) as client:
            if not ships(space):
                _check_known(client, space, address.device)
            return _fetch_and_keep(client, server, address, space, console)
    except ServerUnreachable as error:
        try:
            kept = _kept(server, address, space)
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
    client: TableClient,
    server: str,
    address: TableAddress,
    space: SearchSpace,
    console: Console,
) -> LatencyTable:
    """The server's table, kept for later; it is sent only if it is not the one kept already."""
    tables = TableCache()
    runtime, origin = _meant(client, address)
    question = _question(server, address, space, runtime)
    before = tables.find(question)
    tag = before.tag if before is not None and before.tag else None

    def newer(origin: Origin | None) -> tuple[LatencyTable, str] | None:
        return client.newer_table(
            address.device,
            runtime=runtime,
            space=space.name,
            snapshot=address.snapshot,
            origin=origin,
            tag=tag,
        )

    try:
        answer = newer(origin)
    except RequestRefused as refusal:
        if refusal.type != NO_TABLE or origin is not None:
            raise
        answer = _imported_instead(newer, refusal)
    if answer is not None:
        table, tag = answer
    elif before is not None:
        table, tag = before.table, before.tag
    else:
        raise ServerAnsweredNonsense(f"{client.server} says that a table is current which is not")
    now = datetime.now(UTC)
    try:
        tables.keep(CachedTable(question=question, tag=tag, fetched_at=now, table=table))
    except (OSError, PhonebookError) as error:
        console.print(f"the table could not be kept for --offline: {error}")
    return table


def _imported_instead(newer: Callable[[Origin], Answer], refusal: RequestRefused) -> Answer:
    """The imported table, where the server has no measured one.

    Raises:
        RequestRefused: it has no imported one either.
    """
    try:
        return newer("imported")
    except RequestRefused as other:
        raise (refusal if other.type == NO_TABLE else other) from other


def _kept(server: str, address: TableAddress, space: SearchSpace) -> CachedTable:
    """The table with that address as it was fetched last.

    Raises:
        PhonebookError: none is kept, or the address tells no single one.
    """
    tables = TableCache()
    found = tables.others(_question(server, address, space, None))
    fitting = [kept for kept in found if _answers(kept, address)]
    if len({kept.table.key for kept in fitting}) == 1:
        return max(fitting, key=lambda kept: kept.fetched_at)
    keys = sorted({kept.table.key for kept in fitting or found})
    fault = "several tables are" if fitting else "no table is"
    others = f"; kept are {', '.join(key.address for key in keys)}" if keys else ""
    broken = tables.broken()
    broken_ones = f"; broken are {', '.join(map(str, broken))}" if broken else ""
    raise PhonebookError(
        f"--offline: {fault} kept of {address} for {space.name} from {server}"
        f"{others}{broken_ones}; run the same once without --offline"
    )


def _answers(kept: CachedTable, address: TableAddress) -> bool:
    """Whether the table was fetched by such an address, or is the one that it names."""
    question, table = kept.question, kept.table
    if address.snapshot != question.snapshot:
        return False
    if address.origin not in (None, table.origin):
        return False
    if address.runtime is None:
        return question.runtime is None and question.origin == address.origin
    if address.origin is None and question.origin not in (None, "measured"):
        return False
    return set(address.runtime.split("-")) <= set(table.runtime.key.split("-"))


def _question(
    server: str, address: TableAddress, space: SearchSpace, runtime: Runtime | None
) -> Question:
    return Question(
        server=server.rstrip("/"),
        device=address.device,
        runtime=runtime.key if runtime else None,
        space=space.name,
        origin=address.origin,
        snapshot=address.snapshot,
    )


def _meant(client: TableClient, address: TableAddress) -> tuple[Runtime | None, Origin | None]:
    """The device's only runtime with all of these parts in its key, and the origin of its rows.

    No parts, no runtime.
    """
    device, parts, _, origin = address
    if parts is None:
        return None, origin
    offered = _runtimes(client, device, origin)
    if not offered and origin is None:
        offered = _runtimes(client, device, "imported")
        origin = "imported" if offered else None
    try:
        named = Runtime.parse(parts)
    except ValueError:
        wanted = set(parts.split("-"))
    else:
        return named, "imported" if named.backend == "foreign" else address.origin
    fitting = [runtime for runtime in offered if wanted <= set(runtime.key.split("-"))]
    if len(fitting) == 1:
        return fitting[0], origin
    fault = (
        f"{len(fitting)} runtimes of {device} have" if fitting else f"no runtime of {device} has"
    )
    keys = ", ".join(runtime.key for runtime in fitting or offered) or "none is measured yet"
    raise PhonebookError(
        f"{address}: {fault} {parts!r} in the key; "
        f"write after the @ what only one of them has: {keys}"
    )


def _runtimes(client: TableClient, device: str, origin: Origin | None) -> list[Runtime]:
    """Under which the device has tables of that origin."""
    devices = {known.name: known for known in client.devices(origin=origin)}
    if device not in devices:
        client.check_name(device)
        raise PhonebookError(f"no device {device!r}; {near(device, list(devices))}")
    return [summary.runtime for summary in devices[device].runtimes]
