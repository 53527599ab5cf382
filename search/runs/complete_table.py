"""A search's table, brought to completeness by the agents that serve its device."""

from http import HTTPStatus
from uuid import uuid4

from rich.console import Console

from contract import commands
from contract.client import table_client
from contract.errors import IncompleteTable, PhonebookError, RequestRefused
from contract.jobs import Job, Profile
from contract.spaces import SearchSpace, ships
from contract.tables import LatencyTable
from search.console import error_console
from search.measuring.queue import file_and_wait, until_it_answers
from search.runs.context import RunContext
from search.tables.fetch import fetch


def find_table(
    server: str,
    *,
    target: str,
    space: SearchSpace,
    context: RunContext,
    profile_missing: bool,
    offline: bool = False,
) -> LatencyTable:
    """The target's table with a row for every operator that a search in the space needs, or, with
    `profile_missing`, one that an agent can complete. Nobody measures into an imported table.

    Raises:
        IncompleteTable: rows are missing; the message says what fills them.
        PhonebookError: as `fetch` does.
    """
    if profile_missing and not ships(space):
        with table_client(server) as client:
            client.learn_space(space)
    try:
        table = fetch(
            server, target=target, space=space, offline=offline, console=_warnings(context)
        )
    except RequestRefused as refusal:
        if profile_missing and refusal.status == HTTPStatus.NOT_FOUND:
            device = target.partition("@")[0]
            raise PhonebookError(
                f"{refusal}. --profile-missing needs to know the runtime: measure {target} once "
                f"with `{commands.profile(device, space=space.name)}`, or "
                "write the whole runtime after an @, as in "
                f"{target}@xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ"
            ) from refusal
        raise
    if not profile_missing or table.origin == "imported":
        _must_be_complete(table, space)
    return table


def complete_table(
    server: str, table: LatencyTable, *, target: str, space: SearchSpace, context: RunContext
) -> LatencyTable:
    """The target's table with a row for every operator that a search in the space needs: an agent
    that serves the device measures what has none, which the run's first process files and all of
    them wait for.

    Raises:
        DeviceFailed: the agents tried and could not.
        PhonebookError: as `fetch` does.
    """
    missing = table.missing_of(space.searched_operators)
    if not missing:
        return table
    if context.processes.is_first:
        context.console.print(f"{target}: {len(missing)} operators of {space.name} have no row")
        work = Profile(space=space.name)
        job = Job(id=uuid4(), device=table.device, runtime=table.runtime, work=work)
        with table_client(server, answered_before=True) as client:
            file_and_wait(client, job, console=context.console, stop=lambda: context.stop.asked)
    context.processes.gather({})  # the others wait here
    warnings = _warnings(context)
    completed = until_it_answers(
        lambda: fetch(server, target=target, space=space, console=warnings, answered_before=True),
        console=warnings,
        stop=lambda: context.stop.asked,
    )
    completed.latencies_us(space.searched_operators)
    return completed


def _must_be_complete(table: LatencyTable, space: SearchSpace) -> None:
    try:
        table.latencies_us(space.searched_operators)
    except IncompleteTable as error:
        if table.origin == "imported":
            raise
        raise IncompleteTable(
            f"{error}; or give --profile-missing, and an agent that serves {table.device} does "
            "so first",
            missing=error.missing,
        ) from error


def _warnings(context: RunContext) -> Console:
    return error_console() if context.processes.is_first else Console(quiet=True)
