"""Agents and whoever files jobs, as the server meets them, at a time that the test sets."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
from pydantic import BaseModel

from contract.jobs import (
    AgentDescription,
    Job,
    Lease,
    LeaseRequest,
    MeasureNetwork,
    Outcome,
    Profile,
    Progress,
    Renewal,
    UnitDescription,
    Work,
)
from tests.server.making import NOON, PHONE, RUNTIME, SPACE

PROFILE = Profile(space=SPACE.name)
MEASURE = MeasureNetwork(space=SPACE.name, blocks=("k3_e1",) * len(SPACE.slots))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, span: timedelta) -> None:
        self.now += span


def a_job(
    device: str = "phone", *, work: Work = PROFILE, priority: int = 0, most_attempts: int = 3
) -> Job:
    return Job(
        id=uuid4(),
        device=device,
        runtime=RUNTIME,
        work=work,
        priority=priority,
        most_attempts=most_attempts,
    )


def an_agent(host: str, *serials: str, device: str = "phone") -> AgentDescription:
    return AgentDescription(
        host=host,
        version="0.1.0",
        units=tuple(UnitDescription(device=device, serial=serial) for serial in serials),
    )


class Fleet:
    """Every request of the fleet; those that return a response leave its status to the test."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def register(self, device: str = "phone") -> None:
        self._send("PUT", f"/devices/{device}", PHONE).raise_for_status()

    def announce(self, agent: UUID, description: AgentDescription) -> httpx2.Response:
        return self._send("PUT", f"/agents/{agent}", description)

    def joined(self, host: str = "lab", *serials: str) -> UUID:
        """A new agent that has announced itself."""
        agent = uuid4()
        self.announce(agent, an_agent(host, *serials)).raise_for_status()
        return agent

    def file(self, job: Job) -> httpx2.Response:
        return self._send("POST", "/jobs", job)

    def filed(self, job: Job | None = None) -> UUID:
        """A stored job for a registered device."""
        new = job or a_job()
        self.register(new.device)
        self.file(new).raise_for_status()
        return new.id

    def ask(self, agent: UUID, unit: str = "s1", device: str = "phone") -> httpx2.Response:
        return self._send("POST", "/leases", LeaseRequest(agent=agent, device=device, unit=unit))

    def lease(self, agent: UUID, unit: str = "s1", device: str = "phone") -> Lease | None:
        answer = self.ask(agent, unit, device).raise_for_status()
        return None if answer.status_code == 204 else Lease.model_validate_json(answer.content)

    def leased(self, agent: UUID, unit: str = "s1") -> Lease:
        """A lease where the test knows that something waits."""
        lease = self.lease(agent, unit)
        assert lease is not None
        return lease

    def renew(
        self, job: UUID, agent: UUID, attempt: int = 1, progress: Progress | None = None
    ) -> httpx2.Response:
        renewal = Renewal(agent=agent, attempt=attempt, progress=progress)
        return self._send("POST", f"/jobs/{job}/renew", renewal)

    def finish(self, job: UUID, outcome: Outcome) -> httpx2.Response:
        return self._send("POST", f"/jobs/{job}/finish", outcome)

    def done(self, job: UUID, agent: UUID, attempt: int = 1) -> httpx2.Response:
        return self.finish(job, Outcome(agent=agent, attempt=attempt, done=True))

    def failed(
        self,
        job: UUID,
        agent: UUID,
        attempt: int = 1,
        *,
        again: bool = True,
        counts: bool = True,
    ) -> httpx2.Response:
        outcome = Outcome(
            agent=agent,
            attempt=attempt,
            done=False,
            reason="too hot",
            again=again,
            counts=counts,
        )
        return self.finish(job, outcome)

    def cancel(self, job: UUID) -> httpx2.Response:
        return self._client.post(f"/jobs/{job}/cancel")

    def retry(self, job: UUID) -> httpx2.Response:
        return self._client.post(f"/jobs/{job}/retry")

    def job(self, job: UUID) -> Any:
        return self._client.get(f"/jobs/{job}").raise_for_status().json()

    def jobs(self, query: str = "") -> Any:
        return self._client.get(f"/jobs{query}").raise_for_status().json()

    def agents(self) -> Any:
        return self._client.get("/agents").raise_for_status().json()

    def page(self) -> str:
        return self._client.get("/fleet").raise_for_status().text

    def put_raw(self, path: str, body: object) -> httpx2.Response:
        return self._client.put(path, json=body)

    def post_raw(self, path: str, body: object) -> httpx2.Response:
        return self._client.post(path, json=body)

    def _send(self, method: str, path: str, body: BaseModel) -> httpx2.Response:
        return self._client.request(
            method,
            path,
            content=body.model_dump_json(),
            headers={"content-type": "application/json"},
        )
