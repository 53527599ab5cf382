"""Content for the pages of networks, searches and the fleet: runs of every state, a lost phone."""

from uuid import UUID, uuid4

import httpx2

from contract.estimates import estimate
from contract.jobs import Outcome
from contract.searches import Elsewhere, SearchEpoch, SearchRun
from tests.server.fleet import MEASURE, Fleet, a_job, an_agent
from tests.server.making import a_finding, a_plan, a_search, an_epoch

GROUP = UUID("7d0d2f5e-3a52-4b3e-9d5e-6f2a4f8b9c01")
RUNS = {  # by what the tests call them
    "steady": UUID("aaaaaaaa-0000-4000-8000-000000000001"),
    "accurate": UUID("aaaaaaaa-0000-4000-8000-000000000002"),
    "beaten": UUID("aaaaaaaa-0000-4000-8000-000000000003"),
    "stopped": UUID("aaaaaaaa-0000-4000-8000-000000000004"),
    "running": UUID("aaaaaaaa-0000-4000-8000-000000000005"),
    "tablet": UUID("aaaaaaaa-0000-4000-8000-000000000006"),
}


def seed_views(client: httpx2.Client) -> None:
    """Add to a server that `seed` has filled."""
    poster = Poster(client)
    phone = a_plan(seed=1, target_us=1700, group=GROUP)
    tablet = a_plan("tablet", seed=1, group=GROUP)
    on_tablet, on_phone = (
        Elsewhere(
            target=plan.target,
            device=plan.device,
            runtime=plan.runtime,
            snapshot=plan.snapshot,
            predicted_us=us,
        )
        for plan, us in ((tablet, 3250.0), (phone, 1875.0))
    )
    found = a_finding(predicted_us=1650, measured_us=1702, accuracy=0.91)
    poster.tell(
        "steady",
        SearchRun(plan=phone, state="finished", result=found, elsewhere=(on_tablet,)),
        *map(an_epoch, (1, 2, 3)),
    )
    best = a_finding(predicted_us=2100, accuracy=0.95)
    poster.tell("accurate", a_search(a_plan(seed=2, minutes=1), found=best), an_epoch(1))
    worst = a_finding(predicted_us=2200, accuracy=0.9)
    poster.tell("beaten", a_search(a_plan(seed=3, minutes=2), found=worst), an_epoch(1))
    stopped = SearchRun(plan=a_plan(seed=4, minutes=3), state="stopped", reason="no space left")
    poster.tell("stopped", stopped, an_epoch(1))
    poster.tell("running", a_search(a_plan(seed=5, minutes=4)))
    big = a_finding(predicted_us=3100, accuracy=0.93)
    poster.tell(
        "tablet",
        SearchRun(plan=tablet, state="finished", result=big, elsewhere=(on_phone,)),
        *(an_epoch(number, favourite=3) for number in (1, 2, 3)),
    )
    _fleet(client)


class Poster:
    """Tells of searches."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def tell(self, name: str, run: SearchRun, *epochs: SearchEpoch) -> None:
        self._put(f"/searches/{RUNS[name]}", run.model_dump_json())
        for epoch in epochs:
            self._put(f"/searches/{RUNS[name]}/epochs/{epoch.epoch}", epoch.model_dump_json())

    def _put(self, path: str, body: str) -> None:
        headers = {"content-type": "application/json"}
        answer = self._client.put(path, content=body, headers=headers)
        assert answer.is_success, answer.text


def _fleet(client: httpx2.Client) -> None:
    """A network measured, a job given up, and a phone that was unplugged."""
    fleet = Fleet(client)
    agent = uuid4()
    fleet.announce(agent, an_agent("lab-2", "S7", device="tablet")).raise_for_status()
    measured, dead = a_job("tablet", work=MEASURE, priority=5), a_job("tablet", priority=5)
    fleet.file(measured).raise_for_status()
    assert fleet.lease(agent, "S7", "tablet") is not None
    rounds = [[4000.0, 4010.0, 4020.0] for _ in range(5)]
    done = Outcome(agent=agent, attempt=1, done=True, estimate=estimate(rounds))
    fleet.finish(measured.id, done).raise_for_status()
    fleet.file(dead).raise_for_status()
    assert fleet.lease(agent, "S7", "tablet") is not None
    fleet.failed(dead.id, agent, again=False).raise_for_status()
    fleet.announce(agent, an_agent("lab-2")).raise_for_status()
