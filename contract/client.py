"""The only HTTP client of a Phonebook server."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, TypeAdapter

from contract import credentials
from contract.audits import Audit, AuditReport
from contract.connection import SERVER_VARIABLE, Connection
from contract.devices import DeviceDescription, check_name
from contract.errors import PhonebookError, RequestRefused, ServerUnreachable
from contract.health import Health
from contract.imports import Import, ImportReport
from contract.jobs import (
    AgentDescription,
    AgentReport,
    Job,
    JobReport,
    JobState,
    Lease,
    LeaseRequest,
    Outcome,
    Renewal,
)
from contract.problems import RENAMED
from contract.runtime import Runtime
from contract.searches import SearchEpoch, SearchReport, SearchRun, SearchSummary
from contract.sessions import Origin, Session
from contract.snapshots import SnapshotSummary, TableDiff
from contract.spaces import SearchSpace, SpaceSummary, find_space, names_file
from contract.surroundings import Proxy, http_client
from contract.tables import Device, LatencyTable, SessionReport
from contract.timings import BatchReport, StoredTiming, Timing, TimingBatch
from contract.visits import SessionVisits, VisitBatch, VisitReceipt

DEFAULT_SERVER = "http://127.0.0.1:8420"
TIMEOUT_S = 30.0

Answer = TypeVar("Answer")


def default_server() -> str:
    """The server's address from the environment, else the one `python -m server` listens on."""
    return os.environ.get(SERVER_VARIABLE, DEFAULT_SERVER)


@contextmanager
def table_client(server: str, *, answered_before: bool = False) -> Iterator["TableClient"]:
    """A client of the server at that address, closed on exit.

    It shows the environment's token, and never follows a redirection with it. `answered_before`
    says that Phonebook answered there before: what is not Phonebook's will pass then.

    Raises:
        ServerUnreachable: the address is not an http or https URL.
        PhonebookError: the environment's token, proxy or certificates cannot be used.
    """
    token = credentials.token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        if httpx.URL(server).scheme not in ("http", "https"):
            raise httpx.InvalidURL("it begins with neither http:// nor https://")
        http, proxy = http_client(server, timeout_s=TIMEOUT_S, headers=headers)
    except httpx.InvalidURL as error:
        raise ServerUnreachable(f"{server!r} is no address of a server: {error}") from error
    with http:
        yield TableClient(http, proxy=proxy, answered_before=answered_before)


def known_space(text: str, *, server: str) -> SearchSpace:
    """The space that a person names: one that ships, a file of one, or one that the server knows.

    Raises:
        PhonebookError: none of them; the message lists near names, or says what the file lacks.
    """
    try:
        return find_space(text)
    except PhonebookError as error:
        if names_file(text):
            raise
        try:
            with table_client(server) as client:
                return client.space(text)
        except (RequestRefused, ServerUnreachable):
            raise error from None


class TableClient:
    """Every call a program makes to the server.

    Each raises ServerUnreachable, ServerAnsweredNonsense or RequestRefused.
    """

    def __init__(
        self, http: httpx.Client, *, proxy: Proxy | None = None, answered_before: bool = False
    ) -> None:
        connection = Connection(http, proxy=proxy, answered_before=answered_before)
        self.server = connection.server
        self._send = connection.send
        self._parse = connection.parse

    def health(self) -> Health:
        """That the server lives, and what its clock says."""
        return self._call("GET", "/healthz", Health)

    def register(self, device: str, description: DeviceDescription) -> Device:
        return self._call("PUT", f"/devices/{_in_path(device)}", Device, body=description)

    def devices(self, *, origin: Origin | None = None) -> list[Device]:
        """Every device, and its tables of that origin: measured ones, unless another is given."""
        response = self._send("GET", "/devices", params=_given({"origin": origin}))
        return self._parse(response, TypeAdapter(list[Device]))

    def check_name(self, device: str) -> None:
        """For whoever misses a device among `devices`: it may only be called otherwise now.

        Raises:
            RequestRefused: it is; the message tells how.
        """
        try:
            self.snapshots(device)
        except RequestRefused as refusal:
            if refusal.type == RENAMED:
                raise

    def learn_space(self, space: SearchSpace) -> SpaceSummary:
        """Let the server know a space. The same content again changes nothing.

        Raises:
            RequestRefused: with status 409 where it knows another space by that name.
        """
        return self._call("PUT", f"/spaces/{space.name}", SpaceSummary, body=space)

    def space(self, name: str) -> SearchSpace:
        """A space that the server knows."""
        return self._call("GET", f"/spaces/{name}", SearchSpace)

    def spaces(self) -> list[SpaceSummary]:
        """Every space that the server knows: those that ship with it, and those it learned."""
        return self._parse(self._send("GET", "/spaces"), TypeAdapter(list[SpaceSummary]))

    def add_session(self, session: Session) -> Session:
        """Store a session. The same session again is answered with the first."""
        return self._call("POST", "/sessions", Session, body=session)

    def add_timing(self, session: str, timing: Timing) -> StoredTiming:
        """Store a timing. The same timing again is answered with the first."""
        return self._call("POST", f"/sessions/{session}/timings", StoredTiming, body=timing)

    def add_timings(self, session: str, timings: Sequence[Timing]) -> BatchReport:
        """Store timings of a session at once, at most `MOST_IN_BATCH`, each by itself."""
        batch = TimingBatch(timings=tuple(timings))
        return self._call("POST", f"/sessions/{session}/timings/batch", BatchReport, body=batch)

    def add_visits(self, session: str, batch: VisitBatch) -> VisitReceipt:
        """Store visits of a session as they were measured. The same ones again change nothing."""
        return self._call("POST", f"/sessions/{session}/visits", VisitReceipt, body=batch)

    def visits(self, session: str) -> SessionVisits:
        """All that a session measured, as the runner reported it."""
        return self._call("GET", f"/sessions/{session}/visits", SessionVisits)

    def sessions(self, device: str) -> list[Session]:
        """The device's newest sessions, newest first."""
        response = self._send("GET", "/sessions", params={"device": device})
        return self._parse(response, TypeAdapter(list[Session]))

    def session_report(self, session: str) -> SessionReport:
        """A session with the figures of what it measured."""
        return self._call("GET", f"/sessions/{session}", SessionReport)

    def add_audit(self, audit: Audit) -> AuditReport:
        """Store an audit and learn its figures. The same one again is answered with the first."""
        return self._call("POST", "/audits", AuditReport, body=audit)

    def table(
        self,
        device: str,
        *,
        runtime: Runtime | None = None,
        space: str | None = None,
        snapshot: str | None = None,
    ) -> LatencyTable:
        """The device's table under `runtime`, or under its default one; or as it once was."""
        key = runtime.key if runtime else None
        params = _given({"runtime": key, "space": space, "snapshot": snapshot})
        return self._call("GET", f"/lut/{_in_path(device)}", LatencyTable, params=params)

    def newer_table(
        self,
        device: str,
        *,
        runtime: Runtime | None = None,
        space: str | None = None,
        snapshot: str | None = None,
        origin: Origin | None = None,
        tag: str | None = None,
    ) -> tuple[LatencyTable, str] | None:
        """The table and a name for this very answer, or None where `tag` still names it."""
        key = runtime.key if runtime else None
        query = {"runtime": key, "space": space, "snapshot": snapshot, "origin": origin}
        headers = {} if tag is None else {"If-None-Match": tag}
        response = self._send(
            "GET", f"/lut/{_in_path(device)}", params=_given(query), headers=headers
        )
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return None
        return self._parse(response, TypeAdapter(LatencyTable)), response.headers.get("etag", "")

    def snapshots(
        self, device: str, *, runtime: Runtime | None = None, space: str | None = None
    ) -> list[SnapshotSummary]:
        """What each session left of the device's tables, newest first."""
        query = {"runtime": runtime.key if runtime else None, "space": space}
        response = self._send("GET", f"/lut/{_in_path(device)}/snapshots", params=_given(query))
        return self._parse(response, TypeAdapter(list[SnapshotSummary]))

    def diff(self, device: str, *, before: str, after: str | None = None) -> TableDiff:
        """What changed from one snapshot to another, or to the current table."""
        params = _given({"from": before, "to": after})
        return self._call("GET", f"/lut/{_in_path(device)}/diff", TableDiff, params=params)

    def add_import(self, new: Import) -> ImportReport:
        """Store imported timings, all or none. The same ones again are stored once."""
        return self._call("POST", "/imports", ImportReport, body=new)

    def file_job(self, job: Job) -> JobReport:
        """Let an agent do it. The same job again is answered with what became of the first."""
        return self._call("POST", "/jobs", JobReport, body=job)

    def job(self, job: UUID) -> JobReport:
        return self._call("GET", f"/jobs/{job}", JobReport)

    def cancel_job(self, job: UUID) -> JobReport:
        """Nobody is to begin it; whoever has begun loses the lease."""
        return self._call("POST", f"/jobs/{job}/cancel", JobReport)

    def retry_job(self, job: UUID) -> JobReport:
        """Let a dead or cancelled job wait again, with all its attempts before it."""
        return self._call("POST", f"/jobs/{job}/retry", JobReport)

    def jobs(
        self,
        device: str | None = None,
        state: JobState | None = None,
        *,
        before: UUID | None = None,
    ) -> list[JobReport]:
        """The newest 100 jobs, newest first: all, or those of a device or in a state.

        With `before`, the id of a job: of those that come after it in this order.
        """
        query = {"device": device, "state": state, "before": str(before) if before else None}
        response = self._send("GET", "/jobs", params=_given(query))
        return self._parse(response, TypeAdapter(list[JobReport]))

    def announce(self, agent: UUID, description: AgentDescription) -> AgentReport:
        """Register an agent with its units; told again it is the heartbeat."""
        return self._call("PUT", f"/agents/{agent}", AgentReport, body=description)

    def agents(self) -> list[AgentReport]:
        """Every agent with its units."""
        return self._parse(self._send("GET", "/agents"), TypeAdapter(list[AgentReport]))

    def lease(self, request: LeaseRequest) -> Lease | None:
        """A job for that unit, or None where nothing waits."""
        response = self._send("POST", "/leases", request)
        if response.status_code == HTTPStatus.NO_CONTENT:
            return None
        return self._parse(response, TypeAdapter(Lease))

    def renew(self, job: UUID, renewal: Renewal) -> Lease:
        """Keep the lease a while longer.

        Raises:
            RequestRefused: with status 409 where the lease is lost.
        """
        return self._call("POST", f"/jobs/{job}/renew", Lease, body=renewal)

    def finish(self, job: UUID, outcome: Outcome) -> JobReport:
        """End the attempt. The same outcome again is answered with the same report.

        Raises:
            RequestRefused: with status 409 where the lease was lost before.
        """
        return self._call("POST", f"/jobs/{job}/finish", JobReport, body=outcome)

    def tell_search(self, search: UUID, run: SearchRun) -> SearchSummary:
        """Register a search, or tell how it stands now. Told again it changes nothing."""
        return self._call("PUT", f"/searches/{search}", SearchSummary, body=run)

    def tell_epoch(self, search: UUID, epoch: SearchEpoch) -> SearchEpoch:
        """Store an epoch of a search. The same one again changes nothing."""
        path = f"/searches/{search}/epochs/{epoch.epoch}"
        return self._call("PUT", path, SearchEpoch, body=epoch)

    def searches(self, device: str | None = None) -> list[SearchSummary]:
        """The newest searches, newest first: all, or those for a device."""
        response = self._send("GET", "/searches", params=_given({"device": device}))
        return self._parse(response, TypeAdapter(list[SearchSummary]))

    def search(self, search: UUID) -> SearchReport:
        """A search with all its epochs."""
        return self._call("GET", f"/searches/{search}", SearchReport)

    def _call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        body: BaseModel | None = None,
        params: dict[str, str] | None = None,
    ) -> Answer:
        return self._parse(self._send(method, path, body, params), TypeAdapter(answer))


def _in_path(device: str) -> str:
    return check_name(device, given_as="--device")


def _given(query: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}
