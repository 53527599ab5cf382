"""`python -m device_agent.network --device host ...`: a whole network, end to end."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.client import table_client
from contract.errors import PhonebookError, is_passing
from contract.networks import Network, published
from contract.results import PROGRAM, WEIGHTS, NetworkMeasured, ResultNetwork
from contract.runtime import Runtime, runtime_of
from contract.spaces import find_space
from device_agent import screen
from device_agent.device import must_offer
from device_agent.devices.registry import open_device
from device_agent.measuring.references import Beside, beside
from device_agent.measuring.station import SerialText
from device_agent.measuring.wait_for_idle import IdleWait
from device_agent.measuring.whole_network import export_network, must_be_measured, time_network
from device_agent.patience import USUAL, PatienceOptions
from device_agent.places import cache_dir
from device_agent.programs.cache import ProgramCache, export_to_pte

app = command_line("python -m device_agent.network", "Measure a whole network on a device.")


@app.default
def run(
    *,
    device: Annotated[str, Parameter(help="Which device: host is this computer.")],
    runtime: Annotated[str, Parameter(help="The runtime's key, as the table names it.")],
    serial: SerialText = None,
    waiting: PatienceOptions = USUAL,
    name: Annotated[
        str | None, Parameter(help="The device's name on the server, if not the same.")
    ] = None,
    server: Annotated[
        str | None,
        Parameter(
            help="Measure beside networks of the device's table there, and tell the latency at "
            "that table's level too [default: measure the network alone]."
        ),
    ] = None,
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
        trained = result.with_name(WEIGHTS)
        weights = trained if trained.exists() else None
    else:
        chosen = published(network or "", in_space=find_space(space) if space else None)

    wanted = runtime_of(runtime)
    with open_device(device, wanted.request, serial=serial, patience=waiting) as opened:
        must_offer(opened, wanted)
        must_be_measured(opened, device)
        cache = ProgramCache(cache_dir())
        file = export_network(chosen, opened.runtime, cache, export_to_pte, weights=weights)
        others = (
            found_beside(chosen, opened.runtime, name or device, server, cache) if server else None
        )
        IdleWait(opened, patience_s=waiting.patience * 60).wait()
        timed = time_network(opened, chosen, file, beside=others)
    figures = timed.estimate
    if result is not None:
        shutil.copyfile(file.path, result.with_name(PROGRAM))
    if as_json:
        answer = NetworkMeasured(
            **figures.model_dump(),
            program=str(file.path),
            footprint=timed.footprint,
            at_level=timed.at_level,
        )
        sys.stdout.write(answer.model_dump_json() + "\n")
    else:
        screen.console.print(
            f"{chosen.name} on {device}: {figures.latency_us:,.1f} us +- {figures.half_width:.1%} "
            f"(grade {figures.grade}); median {figures.median_us:,.1f} us, p90 "
            f"{figures.p90_us:,.1f} us; the device was calm for {figures.calm} of "
            f"{figures.samples} samples in {figures.rounds} visits; "
            f"{timed.footprint.words}"
        )
        if timed.at_level is not None:
            screen.console.print(f"{device} {timed.at_level.words}", markup=False, highlight=False)


def found_beside(
    chosen: Network, runtime: Runtime, device: str, server: str, cache: ProgramCache
) -> Beside | None:
    """What to measure beside it. Where there is nothing, or nobody answers, it is said why not."""
    try:
        with table_client(server) as client:
            found = beside(
                chosen, runtime, device=device, client=client, cache=cache, exporter=export_to_pte
            )
    except PhonebookError as error:
        if not is_passing(error):
            raise
        screen.say(f"{error}; {chosen.name} is measured alone")
        return None
    if found is None:
        screen.say(
            f"the table of {device} names no networks to measure beside, so {chosen.name} is "
            "measured alone, and not told at the table's level"
        )
    return found


if __name__ == "__main__":
    main(app)
