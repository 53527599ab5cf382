"""`python -m device_agent.network --device host ...`: a whole network, end to end."""

import json
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.errors import DeviceFailed, PhonebookError
from contract.estimates import Estimate
from contract.networks import Network, published
from contract.results import PROGRAM, WEIGHTS, NetworkMeasured, ResultNetwork
from contract.runtime import Runtime, runtime_of
from contract.spaces import space as space_named
from device_agent import screen
from device_agent.alone import alone_here
from device_agent.devices import Device, ProgramFailed, must_offer, open_device
from device_agent.places import cache_dir
from device_agent.programs import Exporter, Program, ProgramCache, ProgramFile, export_to_pte
from device_agent.protocols import whole
from device_agent.session import visit
from device_agent.visits import Recorded, rounds_by_name
from device_agent.watch import Watch

LEAST_VISITS = 40
MOST_S = 60.0

app = command_line("python -m device_agent.network", "Measure a whole network on a device.")


@app.default
def run(
    *,
    device: Annotated[str, Parameter(help="Which device: host is this computer.")],
    runtime: Annotated[str, Parameter(help="The runtime's key, as the table names it.")],
    network: Annotated[str | None, Parameter(help="A published network.")] = None,
    space: Annotated[
        str | None, Parameter(help="Where to put the published network [default: its own].")
    ] = None,
    result: Annotated[
        Path | None,
        Parameter(help="A search's result.json; its weights are used where they lie beside it."),
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> None:
    """Export the network to one .pte, check its output, and time it with the agent's runner."""
    if (network is None) == (result is None):
        raise PhonebookError("give either --network NAME or --result PATH")
    weights = None
    if result is not None:
        chosen = ResultNetwork.read(result).network(result.parent.name or "result")
        beside = result.with_name(WEIGHTS)
        weights = beside if beside.exists() else None
    else:
        chosen = published(network or "", in_space=space_named(space) if space else None)

    wanted = runtime_of(runtime)
    with (
        alone_here(device),
        open_device(
            device,
            dtype=wanted.dtype,
            threads=wanted.threads,
            memory_format=wanted.memory_format,
            protocol=wanted.protocol,
            runner=wanted.runner,
            cpus=wanted.cpus,
        ) as opened,
    ):
        must_offer(opened, wanted)
        must_be_measured(opened, device)
        cache = ProgramCache(cache_dir())
        file = exported(chosen, opened.runtime, cache, export_to_pte, weights=weights)
        figures = time_network(opened, chosen, file)
    if result is not None:
        shutil.copyfile(file.path, result.with_name(PROGRAM))
    if as_json:
        answer = NetworkMeasured(**figures.model_dump(), program=str(file.path))
        sys.stdout.write(json.dumps(answer.model_dump()) + "\n")
    else:
        screen.console.print(
            f"{chosen.name} on {device}: {figures.latency_us:,.1f} us +- {figures.half_width:.1%} "
            f"(grade {figures.grade}); median {figures.median_us:,.1f} us, p90 "
            f"{figures.p90_us:,.1f} us; the device was calm for {figures.calm} of "
            f"{figures.samples} samples in {figures.rounds} visits"
        )


def must_be_measured(device: Device, name: str) -> None:
    """Raises PhonebookError where it is emulated, or anything else than a device."""
    if device.origin != "measured":
        raise PhonebookError(
            f"{name} is {device.origin}: how long a network takes there says nothing"
        )


def time_network(
    device: Device, network: Network, file: ProgramFile, *, watch: Watch | None = None
) -> Estimate:
    """Visit the program, loading it anew each time, until its latency is graded A or B.

    After a minute the grade is what it is.

    Raises:
        DeviceFailed: it did not run, or computed something else than eager PyTorch.
        Halted: the watch ended the work.
    """
    work = whole(network, device.runtime)
    visits: list[Recorded] = []
    until = time.monotonic() + MOST_S
    what = f"measuring {network.name}"
    with screen.Steps(what, "visits", LEAST_VISITS, watch or Watch()) as steps:
        while True:
            try:
                made = visit(work, file, device)
            except ProgramFailed as failed:
                raise DeviceFailed(f"{file.name}: {failed.code}: {failed.message}") from failed
            visits.append(Recorded(file.name, made, datetime.now(UTC)))
            steps.advance()
            if len(visits) % LEAST_VISITS == 0 or time.monotonic() >= until:
                figures = rounds_by_name(visits)[network.name].estimate()
                if figures.grade != "C" or time.monotonic() >= until:
                    return figures
                steps.more(LEAST_VISITS)


def exported(
    chosen: Network,
    runtime: Runtime,
    cache: ProgramCache,
    exporter: Exporter,
    *,
    weights: Path | None = None,
    watch: Watch | None = None,
) -> ProgramFile:
    """The network as a program. Without `weights` they are random.

    Raises:
        PhonebookError: it cannot be exported.
        Halted: the watch ended it.
    """
    program = Program(
        content=chosen,
        dtype=runtime.dtype,
        memory_format=runtime.memory_format,
        weights=weights,
    )
    with screen.console.status(f"exporting {chosen.name}"):
        (done,) = cache.export([program], exporter, watch)
    if done.file is None:
        raise PhonebookError(f"{chosen.name} cannot be exported: {done.error}")
    return done.file


if __name__ == "__main__":
    main(app)
