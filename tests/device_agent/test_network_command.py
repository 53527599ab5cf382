"""`python -m device_agent.network`, as a person types it, on this computer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from contract.networks import published
from contract.spaces import space
from tests.device_agent.conftest import RUNNERS
from tests.device_agent.test_host import open_host
from tests.device_agent.test_runner import LINUX_ONLY

SPACE = "fbnet-32-0.35"
FOOTPRINT = r"loaded in ([0-9.]+) ms, first run ([0-9.]+) ms, up to ([0-9.]+) MiB of memory"


@LINUX_ONLY
@pytest.mark.timeout(300)
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_network_s_latency_comes_with_what_it_takes_besides(
    home: None, tmp_path: Path, runner: str
) -> None:
    with open_host(runner) as host:
        runtime = host.runtime.key
    done = subprocess.run(
        [
            *(sys.executable, "-m", "device_agent.network", "--device", "host"),
            *("--runtime", runtime, "--patience", "0"),
            *("--network", "fbnet-a", "--space", SPACE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = " ".join((done.stdout + done.stderr).split())
    found = re.search(FOOTPRINT, told)
    assert found, told
    load_ms, first_run_ms, peak_mib = map(float, found.groups())
    assert load_ms > 0
    assert first_run_ms > 0
    weights_mib = published("fbnet-a", in_space=space(SPACE)).params() * 4 / 2**20
    assert weights_mib < peak_mib < 20 * weights_mib
