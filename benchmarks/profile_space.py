"""`python benchmarks/profile_space.py --space fbnet-224`: how long a whole table takes.

Profiles this computer into a fresh folder, against a server of its own: at first with nothing
exported, then with everything. Prints wall time, the share of it that the device spent in
visits (loading, warm-up and timed runs), programs exported and cached, and how well the sessions
repeat each other. Run it alone: whatever else runs is measured too.
"""

import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from contract.cli import command_line, main
from contract.client import table_client
from contract.runtime import Dtype, MemoryFormat, RuntimeRequest
from contract.sessions import Effort
from contract.spaces import find_space
from device_agent import compare, screen
from device_agent.device import Device, Plan, ProgramFile, ProgramTiming
from device_agent.devices.registry import open_device
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Station
from device_agent.programs.cache import Exported, Exporter, ProgramCache, export_to_pte
from device_agent.programs.program import Program
from device_agent.supervisor import Supervisor

NAME = "benchmark"

app = command_line("python benchmarks/profile_space.py", __doc__ or "")


class TimedDevice:
    """A device whose timings are counted and clocked."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.visits_s = 0.0
        self.timings = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        began = time.monotonic()
        try:
            return self._device.time_program(file, plan)
        finally:
            self.visits_s += time.monotonic() - began
            self.timings += 1


class CountingCache(ProgramCache):
    """A cache that remembers what it had to export, and for how long."""

    exported = cached = 0
    export_s = 0.0

    def export(
        self, programs: Sequence[Program], exporter: Exporter, supervisor: Supervisor | None = None
    ) -> Generator[Exported, None, None]:
        began = time.monotonic()
        for each in super().export(programs, exporter, supervisor):
            self.cached += each.was_cached
            self.exported += not each.was_cached
            yield each
        self.export_s += time.monotonic() - began


@app.default
def run(
    *,
    space: Annotated[str, Parameter(help="Which search space.")] = "fbnet-224",
    dtype: Annotated[Dtype, Parameter(help="Of weights and activations.")] = "float32",
    threads: Annotated[int, Parameter(help="Of ExecuTorch's pool.")] = 1,
    memory_format: Annotated[MemoryFormat, Parameter(help="Of the image.")] = "contiguous",
    effort: Annotated[Effort, Parameter(help="How many networks and rounds.")] = "standard",
    sessions: Annotated[int, Parameter(help="How many whole tables to measure.")] = 2,
) -> None:
    """Profile this computer and print where the time went."""
    table = Table(title=f"{space}, {dtype}, {threads} threads, {memory_format}, {effort} effort")
    for column in ("wall s", "in visits", "export s", "exported", "cached", "timings", "load"):
        table.add_column(column, justify="right")
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as address,
        table_client(address) as client,
        Journal(Path(folder) / "journal.db") as journal,
    ):
        for _ in range(sessions):
            cache = CountingCache(Path(folder))
            began, load = time.monotonic(), os.getloadavg()[0]
            request = RuntimeRequest(dtype=dtype, threads=threads, memory_format=memory_format)
            with open_device("host", request) as host:
                device = TimedDevice(host)
                station = Station(
                    device=device,
                    name=NAME,
                    client=client,
                    journal=journal,
                    cache=cache,
                    exporter=export_to_pte,
                    effort=effort,
                )
                profile(station, find_space(space), again=True)
            wall_s = time.monotonic() - began
            table.add_row(
                f"{wall_s:.0f}",
                f"{device.visits_s / wall_s:.0%}",
                f"{cache.export_s:.0f}",
                str(cache.exported),
                str(cache.cached),
                str(device.timings),
                f"{load:.1f} to {os.getloadavg()[0]:.1f}",
            )
        screen.console.print(table)
        reports = [client.session_report(str(each.id)) for each in client.sessions(NAME)]
    for second, first in itertools.pairwise(reports):
        compare.show(compare.repeatability(first, second))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server on loopback that lasts as long as the benchmark."""
    database = f"sqlite:///{folder / 'phonebook.db'}"
    command = [sys.executable, "-m", "server", "--port", "0", "--database-url", database]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            raise SystemExit((folder / "server.log").read_text())
        yield found[0]
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(app)
