"""One server's HTTP: a request sent, its answer told apart from what is not Phonebook's."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from contract import commands, credentials
from contract.errors import RequestRefused, ServerAnsweredNonsense, ServerUnreachable
from contract.problems import Problem
from contract.surroundings import Proxy

SERVER_VARIABLE = "PHONEBOOK_SERVER"

_ACCESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

Answer = TypeVar("Answer")


class Connection:
    """Sends requests to one server, and reads its answers.

    Once it has answered as Phonebook, or where `answered_before`, anything else is a proxy's word
    while its server is away, and passes.
    """

    def __init__(
        self, http: httpx.Client, *, proxy: Proxy | None = None, answered_before: bool = False
    ) -> None:
        self._http = http
        self._proxy = proxy
        self._is_phonebook = answered_before

    @property
    def server(self) -> str:
        return str(self._http.base_url).rstrip("/")

    def send(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer, which is neither an error nor a redirection.

        Raises:
            ServerUnreachable: there is none, or a proxy says so.
            RequestRefused: the server said no.
            ServerAnsweredNonsense: something else answered.
        """
        content = body.model_dump_json() if body else None
        headers = {**({"content-type": "application/json"} if body else {}), **(headers or {})}
        try:
            response = self._http.request(
                method, path, content=content, headers=headers, params=params
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerUnreachable(self._no_answer(error)) from error
        if response.has_redirect_location:
            raise self._moved(response, path)
        if response.is_error:
            raise self._refusal(response)
        return response

    def parse(self, response: httpx.Response, adapter: TypeAdapter[Answer]) -> Answer:
        """
        Raises:
            ServerAnsweredNonsense: the answer is something else.
        """
        try:
            answer = adapter.validate_json(response.content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._nonsense(response, f"{where or 'body'}: {first['msg']}") from error
        self._is_phonebook = True
        return answer

    def _no_answer(self, error: Exception) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                f"{self.server} shows a certificate that is not trusted here ({error}); let "
                "SSL_CERT_FILE name the file of whoever signed it"
            )
        if self._proxy is not None:
            return (
                f"no answer from {self.server} through the proxy {self._proxy.url.host} that "
                f"{self._proxy.named_by} names ({error}); is the proxy there, and may it connect "
                "to that server? NO_PROXY exempts a host from it"
            )
        return (
            f"no answer from {self.server} ({error}); start the server with "
            f"`{commands.server()}`, or name another with --server or {SERVER_VARIABLE}"
        )

    def _moved(self, response: httpx.Response, path: str) -> ServerAnsweredNonsense:
        """A redirection is never followed: the token is for the server that was named."""
        to = response.url.join(response.headers["location"])
        what = f"{response.status_code} to {to}"
        before, is_same, _ = to.path.rstrip("/").rpartition(path)
        new = str(to.copy_with(path=before or "/", query=None, fragment=None)).rstrip("/")
        if not is_same or new == self.server:
            return self._nonsense(response, what, status=response.status_code)
        use = "use that" if to.host == self._http.base_url.host else "if that is yours, use it"
        return ServerAnsweredNonsense(
            f"{self.server} answers {what}: {use}, with --server {new} or {SERVER_VARIABLE}={new}",
            status=response.status_code,
            passes=self._is_phonebook,
        )

    def _refusal(self, response: httpx.Response) -> Exception:
        status = response.status_code
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            if response.is_server_error:
                return ServerUnreachable(
                    f"{self.server} answered {status}, as a proxy does whose server is away"
                )
            return self._nonsense(response, f"status {status}", status=status)
        self._is_phonebook = True
        advice = f"; {credentials.HOW_TO_SET}" if problem.status in _ACCESS else ""
        return RequestRefused(
            f"{self.server}: {problem.detail}{advice}",
            status=problem.status,
            retry_after_s=_seconds(response.headers.get("retry-after", "")),
            type=problem.type,
        )

    def _nonsense(
        self, response: httpx.Response, what: str, *, status: int | None = None
    ) -> ServerAnsweredNonsense:
        request = response.request
        advice = (
            "Phonebook answered there before, so its server may be away behind a proxy, or of "
            "another version now"
            if self._is_phonebook
            else "check the address and that both sides have the same version"
        )
        return ServerAnsweredNonsense(
            f"{request.method} {request.url} answered something that is not Phonebook's "
            f"({what}); {advice}",
            status=status,
            # That a body is too large is a proxy's own answer, whoever is behind it.
            passes=self._is_phonebook and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )


def _seconds(retry_after: str) -> float | None:
    """The header's seconds; a proxy may write a date, which says nothing here."""
    return float(retry_after) if retry_after.isdecimal() else None
