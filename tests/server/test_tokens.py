"""`python -m server.tokens` as a person uses it; and no log ever shows a token."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cyclopts import CycloptsError

from contract.errors import PhonebookError
from server.database.engine import open_database, reading
from server.store import tokens
from server.store.deeds import deeds
from server.tokens import app
from tests.server.making import PHONE

LIMIT_S = 60
TOKEN = re.compile(r"pb_[A-Za-z0-9_-]{43}\n")


class Keeper:
    """Runs the command over a database of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.database = folder / "phonebook.db"
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[str, str]:
        """What it prints on stdout and on stderr."""
        self._capsys.readouterr()
        app([*arguments, "--database-url", f"sqlite:///{self.database}"])
        out, err = self._capsys.readouterr()
        return out, err

    def refusal(self, *arguments: str) -> str:
        """Why it does not do it; nothing is printed."""
        with pytest.raises(PhonebookError) as caught:
            self.run(*arguments)
        assert self._capsys.readouterr() == ("", "")
        return str(caught.value)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "PHONEBOOK" not in name}
        return kept | {"PHONEBOOK_DATABASE_URL": f"sqlite:///{self.database}"}

    def works(self, token: str) -> bool:
        engine = open_database(f"sqlite:///{self.database}")
        with engine.connect() as connection:
            found = tokens.find(connection, token)
        engine.dispose()
        return found is not None

    def deeds(self) -> list[tuple[str | None, str, str, str | None]]:
        """Who did what to which token, and how; newest first."""
        engine = open_database(f"sqlite:///{self.database}")
        with reading(engine)() as session:
            found = [
                (deed.who, str(deed.what), deed.subject, deed.detail) for deed in deeds(session)
            ]
        engine.dispose()
        return found


@pytest.fixture
def keeper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keeper:
    return Keeper(tmp_path, capsys)


def test_a_token_is_made_listed_and_taken_back(keeper: Keeper) -> None:
    made, _ = keeper.run("create", "--name", "lab", "--role", "agent")
    assert TOKEN.fullmatch(made)
    token = made.strip()
    assert keeper.works(token)
    assert token.encode() not in keeper.database.read_bytes()

    again = keeper.refusal("create", "--name", "lab", "--role", "admin")
    assert "there is a token lab already" in again
    assert "python -m server.tokens revoke lab" in again

    assert re.search(r"^lab +agent +\d{4}-\d\d-\d\d \d\d:\d\d +- +- +-$", listed(keeper), re.M)
    keeper.run("revoke", "lab")
    assert not keeper.works(token)
    assert re.search(r"^lab +agent .* - +\d{4}-\d\d-\d\d \d\d:\d\d$", listed(keeper), re.M)
    assert token not in listed(keeper)
    assert keeper.deeds() == [
        (None, "revoked the token", "lab", None),
        (None, "made the token", "lab", "agent"),
    ]
    keeper.run("revoke", "lab")
    assert len(keeper.deeds()) == 2


def test_a_token_lasts_as_long_as_told(keeper: Keeper) -> None:
    keeper.run("create", "--name", "lab", "--role", "agent", "--expires", "90d")
    found = re.search(r"^lab +agent +(\S+ \S+) +(\S+ \S+) +- +-$", listed(keeper), re.M)
    assert found is not None
    made, ends = (datetime.strptime(at, "%Y-%m-%d %H:%M") for at in found.groups())
    assert ends - made == timedelta(days=90)


@pytest.mark.parametrize(
    ("words", "why"), [("soon", "no span of time"), ("90", "as 90d"), ("0d", "over at once")]
)
def test_a_span_that_is_none_is_explained(keeper: Keeper, words: str, why: str) -> None:
    refused = keeper.refusal("create", "--name", "lab", "--role", "agent", "--expires", words)
    assert refused.startswith("--expires: ")
    assert why in refused


def listed(keeper: Keeper) -> str:
    return keeper.run("list")[0]


def test_ensure_makes_a_token_once(keeper: Keeper) -> None:
    file = keeper.folder / "agent.token"
    ensure = ("ensure", "--name", "lab", "--role", "agent", "--file", str(file))
    said = "".join(keeper.run(*ensure))
    token = file.read_text()
    assert TOKEN.fullmatch(token)
    assert token.strip() not in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keeper.works(token.strip())

    file.chmod(0o644)
    keeper.run(*ensure)
    assert file.read_text() == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    file.unlink()  # lost: nobody has the old one
    keeper.run(*ensure)
    assert file.read_text() != token
    assert not keeper.works(token.strip())
    assert keeper.works(file.read_text().strip())

    keeper.run("revoke", "lab")
    keeper.run(*ensure)
    assert keeper.works(file.read_text().strip())
    assert [each.name for each in keeper.folder.iterdir() if "token" in each.name] == [file.name]


def test_a_file_that_cannot_be_written_leaves_the_old_token(keeper: Keeper) -> None:
    token = keeper.run("create", "--name", "lab", "--role", "agent")[0].strip()
    nowhere = keeper.folder / "no" / "such" / "file"
    said = keeper.refusal("ensure", "--name", "lab", "--role", "agent", "--file", str(nowhere))
    assert f"--file: cannot write {nowhere}" in said
    assert keeper.works(token)


def test_wrong_names_and_roles_are_explained(keeper: Keeper) -> None:
    refused = keeper.refusal("create", "--name", "two words", "--role", "agent")
    assert "cannot name a token" in refused
    with pytest.raises(CycloptsError):
        keeper.run("create", "--name", "x", "--role", "owner")
    keeper.run("create", "--name", "lab", "--role", "agent")
    assert "no token 'lap'; did you mean lab?" in keeper.refusal("revoke", "lap")


@pytest.mark.slow
def test_no_log_shows_a_token(keeper: Keeper) -> None:
    good = keeper.run("create", "--name", "lab", "--role", "admin")[0].strip()
    bad = f"{good[:-3]}xyz"
    log = keeper.folder / "server.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "server", "--port", "0"],
            env=keeper.environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {good}"}) as http:
            assert http.put("/devices/phone", json=PHONE.model_dump()).status_code == 201
            assert http.get(f"/devices?token={good}").status_code == 200
            assert http.get("/devices", headers={"Authorization": bad}).status_code == 401
            assert http.get("/lut/fone", params={"token": good}).status_code == 404
            assert http.post("/sessions", json={"id": good}).status_code == 422
            with sqlite3.connect(keeper.database) as connection:
                connection.execute("UPDATE devices SET registered_at = 'never'")
            connection.close()
            failed = http.get("/devices")
            assert failed.status_code == 500
            assert failed.headers["x-content-type-options"] == "nosniff"
            assert good not in failed.text
        process.terminate()
        process.wait(timeout=LIMIT_S)
    text = log.read_text()
    assert text.count('"event": "request"') == 6
    assert "Traceback" in text
    assert good[:20] not in text


def test_a_traceback_on_a_terminal_shows_no_variables() -> None:
    code = (
        "import io, sys, logging\n"
        "class Terminal(io.StringIO):\n"
        "    def isatty(self): return True\n"
        "sys.stderr = Terminal()\n"
        "from server.http import logs\n"
        "logs.configure()\n"
        "def fail():\n"
        "    token = ''.join(['pb', '_', 'secret'])\n"
        "    raise ValueError('no')\n"
        "try:\n"
        "    fail()\n"
        "except ValueError:\n"
        "    logging.getLogger('uvicorn.error').exception('failed')\n"
        "print(sys.stderr.getvalue())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT_S
    )
    assert "ValueError: no" in done.stdout
    assert "pb_secret" not in done.stdout


@pytest.mark.slow
def test_uvicorn_alone_is_as_careful(keeper: Keeper) -> None:
    code = "from server.app import app_from_env; app_from_env()"
    refused = subprocess.run(
        [sys.executable, "-c", code],
        env=keeper.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert refused.returncode != 0
    keeper.run("create", "--name", "lab", "--role", "agent")
    subprocess.run(
        [sys.executable, "-c", code], env=keeper.environment, check=True, timeout=LIMIT_S
    )
