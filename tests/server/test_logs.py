"""Logs: JSON lines on stderr, by which a request's id leads to the reason why it failed."""

import json
import logging
import os
import pty
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.client import table_client
from server.http.logs import BY_STRANGERS, FEW, FEW_S, Few
from tests.server.making import PHONE, a_session
from tests.server.serving import connected, program, rest

LIMIT_S = 60


def lines_in(log: Path) -> list[dict[str, Any]]:
    """Without the first, which tells that the database is new."""
    first, *lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert first["event"].endswith("is new and empty")
    return lines


@pytest.mark.slow
def test_the_log_tells_at_the_request_id_why_a_request_failed(tmp_path: Path) -> None:
    database, log = tmp_path / "phonebook.db", tmp_path / "log"
    with program(f"sqlite:///{database}", log=log) as server:
        with table_client(server.address) as client:
            client.register("phone", PHONE)
            client.add_session(a_session())
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE sessions SET runtime = 'garbled'")
        sent = {"x-request-id": "agent-7"}
        answer = httpx.get(f"{server.address}/sessions?device=phone", headers=sent)

    assert answer.status_code == 500
    assert "request_id agent-7" in answer.json()["detail"]
    lines = lines_in(log)
    assert all(line.get("request_id") for line in lines)
    told = {line["event"]: line for line in lines if line["request_id"] == "agent-7"}
    assert told["request"]["status"] == 500
    assert "'garbled' is no runtime" in told["the request failed"]["exception"]
    assert sum("exception" in line for line in lines) == 1


@pytest.mark.slow
def test_the_log_tells_whose_token_was_sent(tmp_path: Path) -> None:
    url, log = f"sqlite:///{tmp_path}/phonebook.db", tmp_path / "log"
    with program(url, log=log) as server:
        made = subprocess.run(
            [sys.executable, "-m", "server.tokens", "create", "--name", "lab", "--role", "agent"],
            env={**os.environ, "PHONEBOOK_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_S,
        )
        token = {"authorization": f"Bearer {made.stdout.strip()}"}
        httpx.get(f"{server.address}/devices", headers=token)
        httpx.get(f"{server.address}/devices", headers={"authorization": "Bearer pb_wrong"})
        httpx.get(f"{server.address}/healthz")
    told = [(line["path"], line["status"], line["by"]) for line in lines_in(log)]
    assert told == [("/devices", 200, "lab"), ("/devices", 401, None), ("/healthz", 200, None)]


@pytest.mark.slow
def test_what_anybody_can_cause_is_logged_a_few_times(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with program(f"sqlite:///{tmp_path}/phonebook.db", log=log) as server:
        for _ in range(20):
            with connected(server.address) as connection:
                connection.sendall(b"nonsense\r\n\r\n")
                rest(connection)
    assert [line["event"] for line in lines_in(log)] == ["Invalid HTTP request received."] * FEW


class Lines(logging.Handler):
    """A log as `logs.configure` makes it, in memory."""

    def __init__(self, few: Few) -> None:
        super().__init__()
        self.addFilter(few)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.mark.parametrize("name", BY_STRANGERS)
def test_after_a_minute_the_log_tells_how_many_lines_were_left_out(name: str) -> None:
    now_s = 0.0
    handler = Lines(Few(now_s=lambda: now_s))
    root, strange = logging.getLogger(), logging.getLogger(name)
    root.addHandler(handler)
    try:
        for number in range(FEW + 7):
            strange.error("strange %d", number)
            logging.getLogger("server.http.problems").error("ours")
        assert [text for text in handler.texts if text != "ours"] == [
            f"strange {number}" for number in range(FEW)
        ]
        assert handler.texts.count("ours") == FEW + 7
        now_s = FEW_S
        handler.texts.clear()
        logging.getLogger("server.http.problems").error("ours")
        strange.error("strange again")
    finally:
        root.removeHandler(handler)
    left_out = "7 lines like this were left out: strange 0"
    assert handler.texts == [left_out, "ours", "strange again"]


@pytest.mark.slow
def test_what_a_client_wrote_tells_a_terminal_nothing(tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    with (
        os.fdopen(terminal, "rb") as screen,
        subprocess.Popen(
            [sys.executable, "-m", "server", "--port", "0"],
            env={**os.environ, "PHONEBOOK_DATABASE_URL": f"sqlite:///{tmp_path}/phonebook.db"},
            stdout=subprocess.PIPE,
            stderr=its_end,
            text=True,
        ) as process,
    ):
        os.close(its_end)
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        httpx.get(f"{found[0]}/%1b]0;owned%07%c2%9b2J%0aforged%e2%80%ae")
        lines = iter(screen.readline, b"")
        shown = next(line for line in lines if b"owned" in line).decode()
        process.kill()
    assert r"/\x1b]0;owned\x07\x9b2J\nforged\u202e" in shown
    assert not [sign for sign in ("\x1b]", "\x07", "\x9b", "\u202e") if sign in shown]
