"""The client shows its token to the server it was told, and to nobody else."""

import re
from pathlib import Path

import httpx
import pytest

from contract.client import TableClient, table_client
from contract.credentials import token
from contract.errors import PhonebookError, RequestRefused, ServerAnsweredNonsense

TOKEN = "pb_" + "x" * 43


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHONEBOOK_TOKEN", "PHONEBOOK_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_without_one_nothing_is_shown() -> None:
    assert token() is None


def test_the_variable_goes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("PHONEBOOK_TOKEN_FILE", str(file))
    assert token() == TOKEN
    monkeypatch.setenv("PHONEBOOK_TOKEN", "pb_other")
    assert token() == "pb_other"


@pytest.mark.parametrize(
    "content", [b"", b"two words", b"pb_x\nHost: evil", b"\xff\xfe", "pb_ü".encode()]
)
def test_what_is_no_token_is_explained_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    monkeypatch.setenv("PHONEBOOK_TOKEN_FILE", str(file))
    with (
        pytest.raises(PhonebookError, match="PHONEBOOK_TOKEN_FILE") as caught,
        table_client("http://127.0.0.1:1"),
    ):
        pass
    assert "pb_x" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PHONEBOOK_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(PhonebookError, match=rf"{re.escape(str(tmp_path))}/none: No such file"):
        token()


def answering(status: int, **headers: str) -> TableClient:
    problem = {"type": "about:blank", "title": "No", "status": status, "detail": "no"}
    return TableClient(
        httpx.Client(
            base_url="http://lab",
            transport=httpx.MockTransport(
                lambda request: httpx.Response(status, json=problem, headers=headers)
            ),
        )
    )


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_refused_learns_what_to_set(status: int) -> None:
    with pytest.raises(
        RequestRefused, match="http://lab: no; set PHONEBOOK_TOKEN, or PHONEBOOK_TOKEN_FILE to"
    ) as caught:
        answering(status).devices()
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
def test_the_servers_wish_to_be_left_alone_is_passed_on(
    header: str, seconds: float | None
) -> None:
    with pytest.raises(RequestRefused, match=r"no$") as caught:
        answering(429, **{"retry-after": header}).devices()
    assert caught.value.retry_after_s == seconds


def test_no_redirection_is_followed() -> None:
    with pytest.raises(ServerAnsweredNonsense):
        answering(307, location="http://evil.example/devices").devices()
