"""`python -m device_agent.serve`: an agent that runs unattended and does the jobs people file."""

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

from cyclopts import Parameter
from filelock import FileLock, Timeout

from contract.cli import command_line, main
from contract.client import default_server, table_client
from contract.devices import check_name
from contract.errors import PhonebookError
from contract.jobs import Job, MeasureNetwork
from contract.stopping import Stop
from device_agent.measuring.journal import Journal
from device_agent.measuring.station import Options, Station, open_station
from device_agent.patience import USUAL, PatienceOptions
from device_agent.places import journal_path, state_dir
from device_agent.serving.agent import Agent, Unit, units_of
from device_agent.supervisor import Supervisor

app = command_line(
    "python -m device_agent.serve", "Take jobs from a server, and do them on the units here."
)


@app.default
def run(
    *,
    device: Annotated[
        list[str] | None,
        Parameter(
            help="Which devices: host is this computer, galaxys8 or iphonex every such phone on "
            "it. May be given several times [default: host].",
            negative="",
        ),
    ] = None,
    name: Annotated[
        str | None, Parameter(help="The device's name on the server, if not the same.")
    ] = None,
    server: Annotated[
        str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
    ] = None,
    waiting: PatienceOptions = USUAL,
    once: Annotated[
        bool, Parameter(negative="", help="Do the job that waits, if one does, and end.")
    ] = False,
) -> None:
    """Announce this agent and its units, take leases, do the jobs, until Ctrl-C or SIGTERM."""
    kinds = list(dict.fromkeys(device or ["host"]))
    if name is not None and len(kinds) > 1:
        raise PhonebookError(
            f"--name {name} is for one device, and there are {len(kinds)}: {', '.join(kinds)}; "
            "start an agent for each"
        )
    if name is not None:
        check_name(name, given_as="--name")
    names = {kind: name or kind for kind in kinds}
    units_of(names)

    with (
        _only_one(),
        Stop() as stop,
        table_client(server or default_server()) as client,
        Journal(journal_path()) as journal,
    ):

        def open_for(
            job: Job, unit: Unit, supervisor: Supervisor
        ) -> AbstractContextManager[Station]:
            options = _options(job, unit, waiting=waiting)
            return open_station(
                options, supervisor=supervisor, server_patience_s=None, client=client
            )

        agent = Agent(
            identity(state_dir()),
            units=lambda: units_of(names),
            open_station=open_for,
            client=client,
            journal=journal,
            stop=stop,
        )
        if once:
            agent.serve_once()
        else:
            agent.serve()
        agent.leave()
    if stop.by == signal.SIGINT:
        raise KeyboardInterrupt


def identity(folder: Path) -> UUID:
    """The agent's id, kept in `folder` from its first start on.

    Raises:
        PhonebookError: the file holds something else.
    """
    path = folder / "agent-id"
    if not path.exists():
        new = path.with_suffix(".new")
        new.write_text(f"{uuid4()}\n")
        new.replace(path)
    text = path.read_text().strip()
    try:
        return UUID(text)
    except ValueError as error:
        raise PhonebookError(
            f"{path} holds {text[:50]!r} and no agent's id; delete it, and the agent starts "
            "under a new one"
        ) from error


def _options(job: Job, unit: Unit, *, waiting: PatienceOptions) -> Options:
    return Options(
        device=unit.kind,
        serial=unit.serial,
        runtime=job.runtime.request,
        name=unit.device,
        effort="standard" if isinstance(job.work, MeasureNetwork) else job.work.effort,
        waiting=waiting,
    )


@contextmanager
def _only_one() -> Iterator[None]:
    """One serving agent per state folder: two would be one agent to the server.

    Raises:
        PhonebookError: there is one.
    """
    lock = FileLock(state_dir() / "serve.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise PhonebookError(
            f"another agent serves from {state_dir()} already; stop it, or give that one this "
            "device too (--device may be given several times)"
        ) from None
    try:
        yield
    finally:
        lock.release()


if __name__ == "__main__":
    main(app)
