"""Content for every page, posted as agents post it: days of sessions, a step, an audit, jobs."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
from pydantic import BaseModel

from contract.devices import Conditions
from contract.operators import Operator
from contract.runtime import Runtime
from contract.sessions import Origin, Session
from contract.timings import MOST_IN_BATCH, BatchReport, Timing, TimingBatch
from tests.server.fleet import Fleet, a_job
from tests.server.making import PHONE, RUNTIME, SPACE, TWO_THREADS, a_failure, an_audit

DAYS = 8
STEP_DAY = 5  # from then on WATCHED takes a third longer, under another agent
FIRST = datetime.now(UTC) - timedelta(days=DAYS)
WATCHED = SPACE.operators[7]
HISTORY = SPACE.operators[4:10]
DEVICES = {
    "phone": PHONE,
    "tablet": PHONE.evolve(model="Test Tablet 2", soc="Test SoC 4", cores=4),
    "imitation": PHONE.evolve(model="Test Phone 1 in a virtual machine"),
    "spare": PHONE.evolve(model="Test Phone 3"),
}


def seed(client: httpx2.Client) -> None:
    """Fill an empty server."""
    poster = Poster(client)
    for name, description in DEVICES.items():
        poster.send("PUT", f"/devices/{name}", description)
    rest = [operator for operator in SPACE.operators if operator not in HISTORY]
    poster.measure("phone", rest[:-2], day=0, failing=rest[-2:-1])
    for day in range(DAYS):
        poster.measure("phone", HISTORY, day=day)
    poster.measure("phone", HISTORY, day=1, runtime=TWO_THREADS, factor=0.6)
    poster.measure("tablet", SPACE.operators[:24], day=2, factor=2.0)
    poster.measure("imitation", SPACE.operators[:12], day=3, factor=9.0, origin="emulated")
    table = client.get("/lut/phone", params={"space": SPACE.name}).raise_for_status().json()
    audit = an_audit(snapshot=table["snapshot"], predicted_us=(104, 190, 330, 380, 520))
    poster.send("POST", "/audits", audit)
    _work(client)


class Poster:
    """Posts sessions whose figures are the same at each run."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client
        self._random = random.Random(0)

    def measure(
        self,
        device: str,
        operators: Sequence[Operator],
        *,
        day: int,
        runtime: Runtime = RUNTIME,
        factor: float = 1.0,
        origin: Origin = "measured",
        failing: Sequence[Operator] = (),
    ) -> None:
        """A session of one hour."""
        began = FIRST + timedelta(days=day)
        stepped = device == "phone" and day >= STEP_DAY
        calm = Conditions(load_1min=0.2, clock_mhz=2400, temperature_c=35)
        session = Session(
            id=uuid4(),
            device=device,
            runtime=runtime,
            space=SPACE.name,
            origin=origin,
            effort="standard",
            started_at=began,
            agent_version="0.2.0" if stepped else "0.1.0",
            conditions=calm,
            ended_at=began + timedelta(hours=1),
            conditions_after=calm.evolve(temperature_c=41),
            unit="S1",
        )
        self.send("POST", "/sessions", session)
        timings = [
            self._timing(
                operator, began, factor * (4 / 3 if stepped and operator == WATCHED else 1.0)
            )
            for operator in operators
        ]
        timings += [a_failure(operator).evolve(measured_at=began) for operator in failing]
        for start in range(0, len(timings), MOST_IN_BATCH):
            batch = TimingBatch(timings=tuple(timings[start : start + MOST_IN_BATCH]))
            answer = self.send("POST", f"/sessions/{session.id}/timings/batch", batch)
            report = BatchReport.model_validate_json(answer.content)
            assert not any(outcome.refused for outcome in report.outcomes), report

    def send(self, method: str, path: str, body: BaseModel) -> httpx2.Response:
        content, headers = body.model_dump_json(), {"content-type": "application/json"}
        answer = self._client.request(method, path, content=content, headers=headers)
        assert answer.is_success, answer.text
        return answer

    def _timing(self, operator: Operator, began: datetime, factor: float) -> Timing:
        """Four rounds of six samples, a sixth of them disturbed."""
        us = factor * (5 + operator.macs() / 40_000)
        drift = tuple(tuple(1.5 if i == 3 else 1.0 for i in range(6)) for _ in range(4))
        rounds = tuple(
            tuple(us * each * self._random.uniform(1.0, 1.02) for each in factors)
            for factors in drift
        )
        return Timing(
            id=uuid4(),
            operator=operator,
            measured_at=began + timedelta(minutes=10),
            rounds_us=rounds,
            drift=drift,
        )


def _work(client: httpx2.Client) -> None:
    """An agent with a phone, a job that it works on, and one that waits."""
    fleet = Fleet(client)
    agent = fleet.joined("lab-1", "S1")
    for job in (a_job(priority=1), a_job()):
        fleet.file(job).raise_for_status()
    fleet.leased(agent, "S1")
