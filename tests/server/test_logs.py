"""Logs: JSON lines on stderr, by which a request's id leads to the reason why it failed."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from contract.client import table_client
from tests.server.making import PHONE, a_session

LIMIT_S = 60


def test_the_log_tells_at_the_request_id_why_a_request_failed(tmp_path: Path) -> None:
    database, log = tmp_path / "phonebook.db", tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "server", "--port", "0"],
            env={**os.environ, "PHONEBOOK_DATABASE_URL": f"sqlite:///{database}"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        with table_client(found[0]) as client:
            client.register("phone", PHONE)
            client.add_session(a_session())
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE sessions SET runtime = 'garbled'")
        sent = {"x-request-id": "agent-7"}
        answer = httpx.get(f"{found[0]}/sessions?device=phone", headers=sent)
        process.terminate()
        process.wait(timeout=LIMIT_S)

    assert answer.status_code == 500
    assert "request_id agent-7" in answer.json()["detail"]
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(line.get("request_id") for line in lines)
    told = {line["event"]: line for line in lines if line["request_id"] == "agent-7"}
    assert told["request"]["status"] == 500
    assert "'garbled' is no runtime" in told["the request failed"]["exception"]
    assert sum("exception" in line for line in lines) == 1
