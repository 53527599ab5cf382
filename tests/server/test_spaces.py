"""Spaces of other people: learned once, never another under a known name, and of any shape."""

from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from contract.blocks import Conv, Head, MBConv, Separable
from contract.blocks.parts import SqueezeExcite
from contract.jobs import Profile
from contract.problems import NO_SPACE
from contract.spaces import SPACE_NAMES, SearchSpace, SpaceStem, Stage, space
from tests.server.conftest import Agent
from tests.server.fleet import a_job
from tests.server.making import (
    a_plan,
    a_search,
    a_session,
    a_steady_timing,
    a_timing,
    an_audit,
    an_epoch,
)

OWN = SearchSpace(
    name="own",
    resolution=48,
    classes=10,
    stem_block=SpaceStem(block=Conv(kernel_size=3, activation="hswish"), channels=8, stride=2),
    candidates=(
        MBConv(kernel_size=3, expansion=2),
        MBConv(
            kernel_size=7, expansion=2.5, activation="hswish", squeeze=SqueezeExcite(ratio=0.25)
        ),
    ),
    stages=(
        Stage(channels=16, depth=(1, 3), stride=2),
        Stage(channels=24, depth=1, candidates=(Separable(kernel_size=5),)),
    ),
    head_blocks=(Head(channels=64, hidden=96, activation="hswish"),),
)


def test_a_space_is_learned_once(agent: Agent, client: TestClient) -> None:
    answers = [agent.put("/spaces/own", OWN.model_dump_json()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["content_hash"] == OWN.content_hash
    assert SearchSpace.model_validate(client.get("/spaces/own").json()) == OWN
    listed = client.get("/spaces").json()
    assert [each["name"] for each in listed] == [*SPACE_NAMES, "own"]
    assert [each["ships"] for each in listed] == [True] * len(SPACE_NAMES) + [False]
    assert listed[-1]["operators"] == len(OWN.operators)
    (deed,) = client.get("/deeds?subject=own").json()
    assert deed["what"] == "told of the space"


@pytest.mark.parametrize("known", [OWN, space("fbnet-32")], ids=["learned", "ships"])
def test_other_content_under_a_known_name_is_refused(
    agent: Agent, client: TestClient, known: SearchSpace
) -> None:
    agent.put(f"/spaces/{known.name}", known.model_dump_json()).raise_for_status()
    other = known.evolve(resolution=known.resolution * 2)
    answer = agent.put(f"/spaces/{known.name}", other.model_dump_json())
    assert answer.status_code == 409
    assert "a name of its own" in answer.json()["detail"]
    assert SearchSpace.model_validate(client.get(f"/spaces/{known.name}").json()) == known


def test_the_address_and_the_document_name_one_space(agent: Agent) -> None:
    answer = agent.put("/spaces/other", OWN.model_dump_json())
    assert (answer.status_code, "is named own" in answer.json()["detail"]) == (422, True)


def test_what_needs_an_unknown_space_is_refused_as_passing(
    agent: Agent, client: TestClient
) -> None:
    agent.register()
    for path, body in (
        ("/sessions", a_session(space="own")),
        ("/audits", an_audit().evolve(space="own")),
        ("/jobs", a_job(work=Profile(space="own"))),
    ):
        answer = agent.post(path, body.model_dump_json())
        assert (answer.status_code, answer.json()["type"]) == (404, NO_SPACE)
    search = agent.put(
        f"/searches/{uuid4()}", a_search(a_plan().evolve(space="own")).model_dump_json()
    )
    assert (search.status_code, search.json()["type"]) == (404, NO_SPACE)
    assert client.get("/lut/phone?space=own").status_code == 404


def test_a_table_of_a_learned_space_is_served_and_drawn(agent: Agent, client: TestClient) -> None:
    agent.put("/spaces/own", OWN.model_dump_json()).raise_for_status()
    session = agent.begin(a_session(space="own"))
    rest = [a_timing(operator) for operator in OWN.operators[1:]]
    agent.tell(session, *rest)
    table = client.get("/lut/phone?space=own").json()
    assert (table["complete"], table["missing"]) == (False, [OWN.stem.key])
    agent.tell(session, a_steady_timing(OWN.stem))
    table = client.get("/lut/phone?space=own").json()
    assert table["complete"]
    assert [row["operator"] for row in table["entries"]] == [op.key for op in OWN.operators]
    again = client.get(f"/lut/phone?snapshot={table['snapshot']}").json()
    assert again["entries"] == table["entries"]

    for path in (
        *("/devices/phone?space=own", "/devices/phone?space=own&mode=noise"),
        *(f"/devices/phone/operators/{op.key}" for op in OWN.operators),
        *("/networks?space=own", "/compare?space=own", "/export?space=own", "/history"),
    ):
        drawn = client.get(path, headers={"accept": "text/html"})
        assert (drawn.status_code, "own" in drawn.text) == (200, True), path
    page = client.get("/devices/phone?space=own").text
    for words in ("stage 1, 16 ch", "stage 2, 24 ch", "k7_e2.5_se0.25_hswish", "sep5"):
        assert words in page


def test_a_search_in_a_learned_space_has_its_shape(agent: Agent, client: TestClient) -> None:
    agent.put("/spaces/own", OWN.model_dump_json()).raise_for_status()
    search = agent.tell_search(a_search(a_plan().evolve(space="own")))
    counts = [len(choice.candidates) for choice in OWN.choices]
    assert counts == [2, 3, 3, 1]
    shares = tuple(tuple(1 / count for _ in range(count)) for count in counts)
    epoch = an_epoch(1).evolve(theta=shares)
    agent.put(f"/searches/{search}/epochs/1", epoch.model_dump_json()).raise_for_status()
    wrong = an_epoch(2).evolve(theta=shares[1:])
    answer = agent.put(f"/searches/{search}/epochs/2", wrong.model_dump_json())
    assert "each of its 4 slots: 2, 3, 3, 1" in answer.json()["detail"]
    page = client.get(f"/searches/{search}", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "k7_e2.5_se0.25_hswish" in page.text


def test_rows_that_were_there_before_the_space_make_a_table_with_a_snapshot(
    agent: Agent, client: TestClient
) -> None:
    """Its operators are those of another space, under another name."""
    old = space("fbnet-32")
    agent.tell(agent.begin(), *(a_timing(operator) for operator in old.operators[:5]))
    twin = old.evolve(name="twin")
    agent.put("/spaces/twin", twin.model_dump_json()).raise_for_status()
    table = client.get("/lut/phone?space=twin").json()
    assert len(table["entries"]) == 5
    again = client.get(f"/lut/phone?space=twin&snapshot={table['snapshot']}")
    assert again.json()["entries"] == table["entries"]
    assert len(client.get("/lut/phone/snapshots?space=twin").json()) == 1
