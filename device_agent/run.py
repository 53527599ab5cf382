"""`python -m device_agent.run --device host`: measure what a table is missing, and post it."""

import re
from typing import Annotated

from cyclopts import Parameter, validators

from contract.cli import command_line, main
from contract.client import default_server, table_client
from contract.errors import PhonebookError
from contract.spaces import DEFAULT_SPACE
from contract.spaces import space as space_named
from contract.timings import Dtype, MemoryFormat, Protocol, Runner
from device_agent.devices import open_device
from device_agent.journal import Journal
from device_agent.places import cache_dir, state_dir
from device_agent.profile import alone_on, profile
from device_agent.programs import (
    ProgramCache,
    export_to_pte,
)

app = command_line("python -m device_agent.run", "Measure the operators of a space on a device.")


@app.default
def run(
    *,
    device: Annotated[str, Parameter(help="Which device: host is this computer.")],
    space: Annotated[str, Parameter(help="Which search space.")] = DEFAULT_SPACE,
    dtype: Annotated[Dtype, Parameter(help="Of weights and activations.")] = "float32",
    threads: Annotated[
        int, Parameter(help="Of ExecuTorch's pool.", validator=validators.Number(gte=1))
    ] = 1,
    memory_format: Annotated[
        MemoryFormat, Parameter(help="Of the image that goes into a program.")
    ] = "contiguous",
    runner: Annotated[
        Runner | None,
        Parameter(help="What times the programs [default: native where it can be built]."),
    ] = None,
    cpus: Annotated[
        str | None, Parameter(help="Bind the runner to these CPUs, as in 0,1 [default: any].")
    ] = None,
    name: Annotated[
        str | None, Parameter(help="The device's name on the server, if not the same.")
    ] = None,
    protocol: Annotated[
        Protocol,
        Parameter(help="Operators inside whole networks (in_situ), or each alone (isolated)."),
    ] = "in_situ",
    server: Annotated[
        str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
    ] = None,
) -> None:
    """Ask which operators the table is missing, export them, measure them, post the timings."""
    space_named(space)
    with (
        table_client(server or default_server()) as client,
        Journal(state_dir() / "journal.db") as journal,
        alone_on(device),
        open_device(
            device,
            dtype=dtype,
            threads=threads,
            memory_format=memory_format,
            protocol=protocol,
            runner=runner,
            cpus=() if cpus is None else _numbers(cpus),
        ) as opened_device,
    ):
        profile(
            opened_device,
            name=name or device,
            space=space,
            client=client,
            journal=journal,
            cache=ProgramCache(cache_dir()),
            exporter=export_to_pte,
        )


def _numbers(cpus: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", cpus):
        raise PhonebookError(f"--cpus {cpus!r}: give numbers with commas between them, as in 0,1")
    return tuple(int(number) for number in cpus.split(","))


if __name__ == "__main__":
    main(app)
