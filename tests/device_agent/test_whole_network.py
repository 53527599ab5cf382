"""What a whole network takes on this computer, by both runners."""

import sys
from pathlib import Path

import pytest

from contract.runtime import Runner
from device_agent.measuring.whole_network import time_network
from device_agent.network import found_beside
from device_agent.programs.cache import ProgramCache
from tests.device_agent.conftest import NETWORK, Programs
from tests.device_agent.runners import SLOW_PYTHON
from tests.device_agent.test_host import open_host
from tests.tables import RUNTIME


@pytest.mark.timeout(180)
@pytest.mark.parametrize("runner", SLOW_PYTHON)
def test_a_network_s_latency_comes_with_what_it_takes_besides(
    programs: Programs, runner: Runner
) -> None:
    with open_host(runner) as host:
        timed = time_network(host, NETWORK, programs.network)
    footprint = timed.footprint
    assert footprint.load_ms > 0
    assert footprint.first_run_ms * 1e3 > timed.estimate.min_us / 2
    weights_bytes = NETWORK.params() * 4
    if sys.platform == "linux":
        assert footprint.peak_bytes is not None
        assert weights_bytes < footprint.peak_bytes < 20 * weights_bytes
    else:
        assert footprint.peak_bytes is None


def test_where_no_server_answers_the_network_is_measured_alone_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = ProgramCache(tmp_path)
    assert found_beside(NETWORK, RUNTIME, "host", "http://127.0.0.1:9", cache) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert "http://127.0.0.1:9" in line
    assert line.endswith(f"{NETWORK.name} is measured alone")
