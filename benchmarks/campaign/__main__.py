"""`python -m benchmarks.campaign --out FILE`: sessions of this computer over hours, kept raw.

Measures a table, and then audits it again and again, beside each kind of neighbour in turn: a
program of its own that streams through memory, computes, or does so in bursts. Each session
goes into the file at once, with every run, probe and event. A file that is there is continued.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, validators

from benchmarks.campaign.data import CampaignSession, append
from benchmarks.campaign.neighbour import NEIGHBOURS, Neighbour, beside
from benchmarks.service.serving import served
from contract.cli import command_line, main
from contract.client import table_client
from contract.runtime import Dtype, RuntimeRequest
from contract.sessions import Effort
from contract.spaces import find_space
from device_agent import screen
from device_agent.device import Device
from device_agent.devices.registry import open_device
from device_agent.measuring.audit import audit
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Station
from device_agent.places import cache_dir
from device_agent.programs.cache import ProgramCache, export_to_pte

NAME = "campaign"

app = command_line("python -m benchmarks.campaign", __doc__ or "")


class Unwatched:
    """A device whose neighbours are the campaign's own: nobody waits for them to leave."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def others_cpus(self) -> float:
        return 0.0


@app.default
def run(
    *,
    out: Annotated[Path, Parameter(help="The file, .xz.")],
    sessions: Annotated[int, Parameter(help="Audits, after the table.")] = 8,
    neighbours: Annotated[
        Sequence[Neighbour], Parameter(help="In turn, one beside each session.")
    ] = NEIGHBOURS,
    pause: Annotated[
        float, Parameter(help="Minutes between sessions.", validator=validators.Number(gte=0))
    ] = 5,
    space: Annotated[str, Parameter(help="Which search space.")] = "fbnet-224",
    dtype: Annotated[Dtype, Parameter(help="Of weights and activations.")] = "float32",
    threads: Annotated[int, Parameter(help="Of ExecuTorch's pool.")] = 1,
    effort: Annotated[Effort, Parameter(help="How many networks and rounds.")] = "quick",
    networks: Annotated[int, Parameter(help="Drawn for each audit.")] = 50,
) -> None:
    """Measure so many sessions, one after the other."""
    of = find_space(space)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(f"sqlite:///{folder}/phonebook.db") as server,
        table_client(server.address) as client,
        Journal(Path(folder) / "journal.db") as journal,
    ):

        def station(device: Device) -> Station:
            return Station(
                device=device,
                name=NAME,
                client=client,
                journal=journal,
                cache=ProgramCache(cache_dir()),
                exporter=export_to_pte,
                effort=effort,
            )

        request = RuntimeRequest(dtype=dtype, threads=threads)
        with open_device("host", request) as host:
            profile(station(host), of)
        for number, kind in enumerate(islice(cycle(neighbours), sessions)):
            if number:
                time.sleep(60 * pause)
            load = os.getloadavg()[0]
            with open_device("host", request) as host, beside(kind):
                measuring = station(Unwatched(host) if kind != "nobody" else host)
                done = audit(measuring, of, networks=networks, seed=number % 2)
                measuring.send(must_store=[done.id])
            newest = client.sessions(NAME)[0]
            kept = CampaignSession(
                session=newest,
                audit=done,
                neighbour=kind,
                load_1min=round(load, 2),
                visits=client.visits(str(newest.id)),
            )
            append(out, kept)
            size = out.stat().st_size / 2**20
            screen.console.print(f"{number + 1} of {sessions}, beside {kind}: {size:.1f} MiB")


if __name__ == "__main__":
    main(app)
