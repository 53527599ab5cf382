"""The iPhone app's core with the real runner: what it measures, refuses and withstands."""

import base64
import hashlib
import http.client
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from contract.networks import Network, network
from contract.operators import Operator
from contract.runtime import Dtype
from contract.spaces import space
from device_agent.device import ProgramFile, ProgramTiming
from device_agent.measuring.checks import check_timing
from device_agent.places import cache_dir
from device_agent.programs.cache import ProgramCache, export_to_pte
from device_agent.programs.program import Program
from device_agent.runner.protocol import Timed
from tests.device_agent.booking import booked
from tests.fakes import RUNTIME
from tests.ios.app import AppMissing, EmulatedApp

pytestmark = pytest.mark.ios

SECOND_NS = 1_000_000_000
LIMIT_S = 60.0
SPACE = space("fbnet-32-0.35")
# A shuffle, a sum, an expansion, and of the rest as little as there is.
BLOCKS = {0: "k5_e1_g2", 2: "k3_e3"}
NETWORK = network(
    [
        BLOCKS.get(number, "skip" if slot.keeps_shape else "k3_e1")
        for number, slot in enumerate(SPACE.slots)
    ],
    space=SPACE,
)


@dataclass(frozen=True)
class Programs:
    """Exported programs, each with the output that eager PyTorch gave."""

    operators: dict[Dtype, list[ProgramFile]]
    network: ProgramFile


@pytest.fixture
def app(tmp_path: Path) -> Iterator[EmulatedApp]:
    """An iPhone X of one's own, with the app in front."""
    try:
        with EmulatedApp(tmp_path / "iphone") as started:
            yield started
    except AppMissing as missing:
        pytest.exit(str(missing), returncode=1)


@pytest.fixture(scope="session")
def programs() -> Programs:
    cache = ProgramCache(cache_dir())

    def exported(content: Operator | Network, dtype: Dtype) -> Program:
        return Program(content=content, dtype=dtype, memory_format="contiguous")

    dtypes: tuple[Dtype, ...] = ("float32", "int8")
    operators = {
        dtype: [exported(one, dtype) for one in (NETWORK.stem, NETWORK.operators[1], NETWORK.head)]
        for dtype in dtypes
    }
    whole = exported(NETWORK, "float32")
    wanted = [whole, *operators["float32"], *operators["int8"]]
    assert [done.error for done in cache.export(wanted, export_to_pte) if done.error] == []
    return Programs(
        operators={dtype: [cache.file(one) for one in operators[dtype]] for dtype in dtypes},
        network=cache.file(whole),
    )


class Agent:
    """What an agent says to the app, one request after another."""

    def __init__(self, app: EmulatedApp) -> None:
        self._app = app

    def ask(self, method: str, path: str, content: bytes = b"") -> httpx.Response:
        return httpx.request(
            method,
            f"http://127.0.0.1:{self._app.port}/v1/{path}",
            content=content,
            headers={"X-Phonebook-Agent": "lab"},
            timeout=LIMIT_S,
        )

    def put(self, program: bytes) -> httpx.Response:
        return self.ask("PUT", f"programs/{hashlib.sha256(program).hexdigest()}", program)

    def offer(self, file: ProgramFile, **changes: object) -> tuple[str, httpx.Response]:
        """The job's name and the app's answer; the program is sent first."""
        program = file.path.read_bytes()
        assert self.put(program).json() == {"bytes": len(program)}
        name = str(uuid.uuid4())
        job = {
            "job": name,
            "sha256": hashlib.sha256(program).hexdigest(),
            "threads": 1,
            "memory_format": "contiguous",
            "warmup_runs": 2,
            "min_runs": 3,
            "max_runs": 3,
            "min_duration_ns": 0,
            "deadline_ns": 60 * SECOND_NS,
            "trace": False,
            "max_thermal": "fair",
            **changes,
        }
        return name, self.ask("POST", "jobs", json.dumps(job).encode())

    def post(self, file: ProgramFile, **changes: object) -> str:
        """The name of a job that the app took."""
        name, answer = self.offer(file, **changes)
        assert (answer.status_code, answer.json()) == (202, {"job": name})
        return name

    def result(self, job: str) -> dict[str, object]:
        deadline = time.monotonic() + LIMIT_S
        while (answer := self.ask("GET", f"jobs/{job}")).status_code == 202:
            assert answer.json() == {"job": job, "status": "running"}
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert answer.status_code == 200, answer.text
        result: dict[str, object] = answer.json()
        return result

    def time(
        self, file: ProgramFile, dtype: Dtype = "float32", **changes: object
    ) -> ProgramTiming:
        """A visit to the program, its output checked against eager PyTorch."""
        result = self.result(self.post(file, **changes))
        assert (result["status"], result["error"]) == ("ok", None)
        timed = Timed.model_validate_json(json.dumps(result["answer"]))
        timing = timed.timing(base64.b64decode(str(result["output"])))
        check_timing(timing, file, RUNTIME.evolve(dtype=dtype))
        return timing

    def failure(self, job: str) -> tuple[object, str, str]:
        """Status, code and message of a job that has no answer."""
        result = self.result(job)
        assert (result["answer"], result["output"]) == (None, None)
        error = result["error"]
        assert isinstance(error, dict)
        return result["status"], error["code"], error["message"]


@pytest.fixture
def agent(app: EmulatedApp) -> Agent:
    return Agent(app)


def endless(agent: Agent, file: ProgramFile) -> str:
    """A job that ends by no count of runs."""
    return agent.post(file, max_runs=10_000_000, min_duration_ns=3600 * SECOND_NS)


def test_it_says_that_it_is_emulated_and_what_it_was_built_with(agent: Agent) -> None:
    info = agent.ask("GET", "info").json()
    assert (info["app"], info["protocol"], info["emulated"]) == ("phonebook-bench", 1, True)
    assert (info["executorch"], info["tracer"]) == (version("executorch"), True)
    assert (info["model"], info["soc"], info["os"]) == ("iPhone10,3", "A11 Bionic", "iOS 16.7.10")
    assert info["conditions"]["battery"] == 0.93


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_operators_compute_what_eager_pytorch_does(
    agent: Agent, programs: Programs, dtype: Dtype
) -> None:
    for file in programs.operators[dtype]:
        timing = agent.time(file, dtype)
        assert "XnnpackBackend" in timing.delegates
        assert (len(timing.samples_ns), len(timing.probes_ns)) == (3, 4)
        assert timing.events == ()


def test_in_situ_events_book_to_the_operators_of_a_network(
    agent: Agent, programs: Programs
) -> None:
    found = booked(NETWORK, agent.time(programs.network, trace=True))
    assert found.keys() == {op.key for op in NETWORK.operators if not op.is_free}
    assert {len(samples) for samples in found.values()} == {3}


def test_the_number_of_threads_may_change_from_job_to_job(
    agent: Agent, programs: Programs
) -> None:
    for threads in (1, 2, 1, 3):
        agent.time(programs.network, threads=threads)


def test_a_program_that_was_sent_stays_when_the_app_ends(
    app: EmulatedApp, agent: Agent, programs: Programs
) -> None:
    file = programs.operators["float32"][0]
    job = endless(agent, file)
    app.restart()
    assert agent.ask("GET", f"jobs/{job}").status_code == 404
    name = hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert agent.ask("HEAD", f"programs/{name}").status_code == 200
    agent.time(file)


def test_a_job_stops_at_its_next_run(agent: Agent, programs: Programs) -> None:
    job = endless(agent, programs.network)
    assert agent.ask("DELETE", f"jobs/{job}").status_code == 200
    assert agent.failure(job) == ("stopped", "stopped", "stopped as told")
    agent.time(programs.network)


def test_a_job_keeps_its_deadline(agent: Agent, programs: Programs) -> None:
    long = {"max_runs": 10_000_000, "min_duration_ns": 3600 * SECOND_NS}
    job = agent.post(programs.network, deadline_ns=SECOND_NS // 2, **long)
    status, code, message = agent.failure(job)
    assert (status, code) == ("failed", "timed_out")
    assert "stopped at its deadline" in message


def test_leaving_the_app_interrupts_and_coming_back_goes_on(
    app: EmulatedApp, agent: Agent, programs: Programs
) -> None:
    job = endless(agent, programs.network)
    app.set(state="inactive")
    assert agent.failure(job) == (
        "interrupted",
        "interrupted",
        "the app was left while the job ran",
    )
    assert agent.ask("GET", "info").json()["state"] == "asleep"
    _, refused = agent.offer(programs.network)
    assert refused.status_code == 503
    assert "open the app" in refused.json()["error"]
    app.set(state="active")
    agent.time(programs.network)


def test_a_suspended_app_answers_nobody_until_it_is_in_front_again(
    app: EmulatedApp, agent: Agent, programs: Programs
) -> None:
    job = endless(agent, programs.network)
    app.set(state="suspended")
    with pytest.raises(httpx.ConnectError):
        agent.ask("GET", "info")
    app.set(state="active")
    assert agent.failure(job)[0] == "interrupted"
    agent.time(programs.network)


def test_a_damaged_program_costs_itself_alone(
    agent: Agent, programs: Programs, tmp_path: Path
) -> None:
    whole = programs.operators["float32"][0]
    damaged = ProgramFile(tmp_path / "damaged.pte")
    damaged.path.write_bytes(whole.path.read_bytes()[:1000])
    status, code, message = agent.failure(agent.post(damaged))
    assert (status, code) == ("failed", "load_failed")
    assert "reading the program" in message
    agent.time(whole)


def test_what_cannot_be_stored_leaves_nothing_behind(app: EmulatedApp, agent: Agent) -> None:
    wrong = agent.ask("PUT", f"programs/{'0' * 64}", b"a program")
    assert wrong.status_code == 422
    assert hashlib.sha256(b"a program").hexdigest() in wrong.json()["error"]
    app.set(free_bytes=0)
    assert agent.put(b"a program").status_code == 507
    assert list(app.programs.iterdir()) == []


def test_a_program_that_is_too_large_is_refused_before_it_is_sent(app: EmulatedApp) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=LIMIT_S)
    connection.putrequest("PUT", f"/v1/programs/{'0' * 64}")
    connection.putheader("Content-Length", str((64 << 20) + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert "at most 67108864 are taken" in json.loads(answer.read())["error"]
    connection.close()


def test_hashes_are_those_of_the_standard_library(agent: Agent) -> None:
    for size in (0, 1, 55, 56, 63, 64, 65, 1_000_003):
        program = bytes(number * 31 % 251 for number in range(size))
        assert agent.put(program).status_code == 201


def test_a_phone_that_is_hot_or_saves_power_measures_nothing(
    app: EmulatedApp, agent: Agent, programs: Programs
) -> None:
    file = programs.operators["float32"][0]
    app.set(thermal="serious")
    status, code, message = agent.failure(agent.post(file))
    assert (status, code) == ("too_hot", "too_hot")
    assert "serious" in message
    app.set(thermal="nominal", low_power=True)
    assert agent.failure(agent.post(file))[0] == "low_power"
    app.set(low_power=False)
    agent.time(file)
