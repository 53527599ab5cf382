import json
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from contract.errors import DeviceFailed
from contract.footprint import Footprint
from contract.levels import AtLevel, Level
from contract.networks import published
from search.measuring.network import (
    Measured,
    MeasurementFailed,
    Subject,
    measure_here,
    parse_measurement,
)
from tests.tables import RUNTIME, table_of

AT_LEVEL = AtLevel(
    level=Level(session=UUID(int=7), factor=1.025, low=1.02, high=1.03, references=6),
    latency_us=792.7,
    low_us=788,
    high_us=797,
)
ANSWER = {
    **{"latency_us": 812.5, "low_us": 810, "high_us": 815, "grade": "A", "median_us": 820},
    **{"p90_us": 900, "min_us": 800, "samples": 30, "calm": 20, "rounds": 3},
    "footprint": {"load_ms": 38.06, "first_run_ms": 1014.2, "peak_bytes": 36_149_658},
    "at_level": AT_LEVEL.model_dump(mode="json"),
}

SERVER = "http://127.0.0.1:8420"

# An agent that knows one command, and answers as the real one does.
AGENT = """
import json, sys
runtime = sys.argv[sys.argv.index("--runtime") + 1]
of_device = ["--device", "test-phone", "--runtime", runtime]
of_device += ["--server", "http://127.0.0.1:8420"]
if sys.argv[1:] != [*of_device, "--network", "fbnet-a", "--json"]:
    print(f"not told: {sys.argv[1:]}", file=sys.stderr)
    sys.exit(2)
print("exporting")
print(json.dumps({**%r, "program": "/tmp/fbnet-a.pte"}))
"""


def subject(device: str) -> Subject:
    return Subject(
        network=published("fbnet-a"),
        device=device,
        runtime=RUNTIME,
        words=("--network", "fbnet-a"),
    )


def test_the_agent_s_last_line_is_the_measurement(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT % ANSWER)
    command = (sys.executable, str(agent))
    measured = measure_here(subject("test-phone"), server=SERVER, agent=command)
    assert measured == Measured(
        latency_us=812.5,
        low_us=810,
        high_us=815,
        by="this computer, /tmp/fbnet-a.pte",
        footprint=Footprint(load_ms=38.06, first_run_ms=1014.2, peak_bytes=36_149_658),
        at_level=AT_LEVEL,
    )
    assert measured.words == (
        "measured by this computer, /tmp/fbnet-a.pte: loaded in 38.1 ms, first run 1,014.2 ms, "
        "up to 34.5 MiB of memory; the device took 1.025 times as long as in its table's session "
        "00000000 (1.02 to 1.03, by 6 networks)"
    )
    with pytest.raises(MeasurementFailed, match="ended with 2; its message is above") as caught:
        measure_here(subject("other"), server=SERVER, agent=command)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("output", ["", "Segmentation fault\n", "{}\n", '[1]\n{"median_us": 0}'])
def test_an_unreadable_measurement_is_shown(output: str) -> None:
    with pytest.raises(
        DeviceFailed, match=r"^expected a measurement in the agent's last line, got"
    ):
        parse_measurement(output)


def test_a_killed_agent_is_told_apart(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DeviceFailed, match="was killed by signal 9"):
        measure_here(subject("test-phone"), server=SERVER, agent=(sys.executable, str(agent)))


def test_a_latency_counts_at_the_level_of_its_own_table_alone() -> None:
    measured = parse_measurement(json.dumps({**ANSWER, "program": "/tmp/fbnet-a.pte"}))
    table = table_of(published("fbnet-a").space)
    own = AT_LEVEL.evolve(level=AT_LEVEL.level.evolve(session=table.entries[0].session))
    assert measured.at_level_of(table) is None
    assert replace(measured, at_level=own).at_level_of(table) == own
    assert replace(measured, at_level=None).at_level_of(table) is None
