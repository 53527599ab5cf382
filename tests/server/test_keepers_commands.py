"""What a keeper does to devices and sessions by command, while the server goes on serving."""

import subprocess
import sys
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import Agent
from tests.server.fleet import Fleet
from tests.server.making import RUNTIME, TWO_THREADS, a_session, a_timing

pytestmark = pytest.mark.slow


def run(*words: str, database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words, "--database-url", database_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(*words: str, database_url: str) -> str:
    done = run(*words, database_url=database_url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_device_from_its_first_name_to_its_retirement(
    client: TestClient, agent: Agent, database_url: str
) -> None:
    agent.tell(agent.begin(), a_timing())
    agent.begin(a_session(runtime=TWO_THREADS))
    why = ("--reason", "the lab counts them otherwise")
    devices = "server.devices"
    assert RUNTIME.key in told(devices, "list", database_url=database_url)
    chosen = told(devices, "default-runtime", "phone", TWO_THREADS.key, database_url=database_url)
    assert TWO_THREADS.key in chosen
    renamed = told(devices, "rename", "phone", "pixel-8", *why, database_url=database_url)
    assert "device phone is called pixel-8 now" in renamed
    retired = told(devices, "retire", "pixel-8", *why, database_url=database_url)
    assert retired == "device pixel-8 is retired and takes no jobs\n"
    listed = told(devices, "list", database_url=database_url)
    assert listed.startswith(f"pixel-8: {TWO_THREADS.key}; retired 20")
    back = told(devices, "bring-back", "pixel-8", *why, database_url=database_url)
    assert back == "device pixel-8 takes jobs\n"
    what = [each["what"] for each in client.get("/deeds?subject=pixel-8").json()]
    assert what == [
        "brought back the device",
        "retired the device",
        "renamed the device",
        "chose the default runtime",
        "registered the device",
    ]


def test_a_unit_alone_is_retired_and_brought_back(
    client: TestClient, fleet: Fleet, database_url: str
) -> None:
    fleet.joined("lab", "s1")
    one = ("phone", "--unit", "s1", "--reason", "lost on the train")
    retired = told("server.devices", "retire", *one, database_url=database_url)
    assert retired == "unit s1 of phone is retired and takes no jobs\n"
    found = client.get("/retired").json()
    assert (found["devices"], found["units"][0]["serial"]) == ([], "s1")
    back = told("server.devices", "bring-back", *one, database_url=database_url)
    assert back == "unit s1 of phone takes jobs\n"
    assert client.get("/retired").json() == {"devices": [], "units": []}


def test_a_session_withdrawn_brought_back_and_annotated(
    client: TestClient, agent: Agent, database_url: str
) -> None:
    session = str(agent.begin())
    sessions = "server.sessions"
    why = ("--reason", "the phone lay in the sun")
    assert "is withdrawn" in told(sessions, "withdraw", session, *why, database_url=database_url)
    assert "counts" in told(sessions, "bring-back", session, *why, database_url=database_url)
    note = ("--note", "on a cold plate")
    assert "1 note\n" in told(sessions, "annotate", session, *note, database_url=database_url)
    (kept,) = client.get(f"/sessions/{session}/notes").json()
    assert kept["text"] == "on a cold plate"


def test_what_cannot_be_done_is_told_in_one_line(agent: Agent, database_url: str) -> None:
    agent.register()
    why = ("--reason", "x")
    for words, reason in (
        (("server.devices", "rename", "phome", "x", *why), "no device 'phome'; did you mean"),
        (("server.devices", "rename", "phone", "No", *why), "'No' cannot name a device"),
        (("server.devices", "retire", "phone", "--reason", " "), "--reason: say why"),
        (("server.devices", "retire", "phone", "--unit", "s1", *why), "no unit of phone 's1'"),
        (("server.devices", "default-runtime", "phone", "fast"), "'fast' is no runtime"),
        (("server.sessions", "annotate", str(uuid4()), "--note", "x"), "no session "),
        (("server.sessions", "annotate", str(uuid4()), "--note", " "), "--note: write down"),
    ):
        done = run(*words, database_url=database_url)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {reason}") or reason in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
