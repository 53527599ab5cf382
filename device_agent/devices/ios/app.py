"""The benchmark app's client: one HTTP connection through usbmux, and a limit on every wait."""

import http.client
import json
from contextlib import suppress
from uuid import UUID, uuid4

from pydantic import ValidationError

from device_agent.device_lock import agent_name
from device_agent.devices.ios.errors import (
    AnsweredNonsense,
    AppUnfit,
    Asleep,
    HungUp,
    InUse,
    StorageFull,
)
from device_agent.devices.ios.messages import (
    APP,
    JOB_RESULTS,
    PORT,
    PROTOCOL,
    AppInfo,
    AppJob,
    JobResult,
    Refused,
)
from device_agent.devices.ios.mux import Usbmuxd

ANSWER_LIMIT_S = 5.0
UPLOAD_LIMIT_S = 30.0  # for one piece to be taken, or the last one to be hashed and kept
_MOST_ANSWER_BYTES = 256 << 20
_TRIES = 2


class JobUnknown(Exception):
    """The app does not know the job: it was restarted, or the result expired."""


class ProgramUnknown(Exception):
    """The app does not have the job's program."""


class JobRuns(Exception):
    """The app is busy with another job of this agent's.

    Attributes:
        job: its id, where the app tells it.
    """

    def __init__(self, job: str | None) -> None:
        super().__init__(f"the app is busy with the job {job}")
        self.job = job


class HashDiffers(Exception):
    """What arrived has not the hash it was sent under."""


class TooLarge(Exception):
    """The app takes no program of that size."""


class App:
    """The app on one phone. Every request is made again once where its connection broke, which
    the protocol allows for each.

    Every method raises Away where the app cannot be reached now, InUse where another agent has
    it, and AnsweredNonsense where what answers is not the app.
    """

    def __init__(
        self,
        udid: str,
        *,
        usbmuxd: Usbmuxd | None = None,
        answer_limit_s: float = ANSWER_LIMIT_S,
    ) -> None:
        self.udid = udid
        self._usbmuxd = usbmuxd or Usbmuxd()
        self._answer_limit_s = answer_limit_s
        self._agent = agent_name()
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def info(self) -> AppInfo:
        """Raises AppUnfit: it speaks another version of the protocol."""
        status, body = self._request("GET", "/v1/info")
        if status != 200:
            raise self._refusal("GET /v1/info", status, body)
        try:
            content = json.loads(body)
            app, protocol = content["app"], content["protocol"]
        except (ValueError, KeyError, TypeError):
            raise self._nonsense("/v1/info", body) from None
        if app != APP:
            raise self._nonsense("/v1/info", body)
        if protocol != PROTOCOL:
            raise AppUnfit(
                f"{self.udid}: the app speaks protocol {protocol}, and this agent {PROTOCOL}; "
                "build and install the app of this version, device_agent/ios_app"
            )
        try:
            return AppInfo.model_validate_json(body)
        except ValidationError as error:
            raise self._nonsense("/v1/info", str(error).encode()) from error

    def has(self, digest: str) -> bool:
        status, body = self._request("HEAD", f"/v1/programs/{digest}")
        if status not in (200, 404):
            raise self._refusal("HEAD /v1/programs", status, body)
        return status == 200

    def upload(self, digest: str, content: bytes) -> None:
        """Raises HashDiffers, TooLarge, or StorageFull."""
        status, body = self._request(
            "PUT", f"/v1/programs/{digest}", content, limit_s=UPLOAD_LIMIT_S
        )
        match status:
            case 201:
                return
            case 413:
                raise TooLarge(_refused(body).error)
            case 422:
                raise HashDiffers(_refused(body).error)
            case 507:
                raise StorageFull(
                    f"{self.udid}: the phone's storage is full ({_refused(body).error}). Free "
                    "some of it; what was measured is kept, and the same command goes on"
                )
        raise self._refusal("PUT /v1/programs", status, body)

    def delete_programs(self) -> None:
        """Raises JobRuns."""
        status, body = self._request("DELETE", "/v1/programs")
        if status != 200:
            raise self._refusal("DELETE /v1/programs", status, body)

    def post(self, job: AppJob) -> None:
        """Raises ProgramUnknown, JobRuns, or AppUnfit where it takes no such job."""
        status, body = self._request("POST", "/v1/jobs", job.model_dump_json().encode())
        if status == 202:
            return
        if status == 409:
            raise ProgramUnknown(_refused(body).error)
        raise self._refusal("POST /v1/jobs", status, body)

    def result(self, job: AppJob) -> JobResult | None:
        """What came of the job; None while it runs.

        Raises:
            JobUnknown: the app lost it.
        """
        status, body = self._request("GET", f"/v1/jobs/{job.job}")
        if status == 202:
            return None
        if status == 404:
            raise JobUnknown(_refused(body).error)
        if status != 200:
            raise self._refusal("GET /v1/jobs", status, body)
        try:
            result = JOB_RESULTS.validate_json(body)
        except ValidationError as error:
            raise self._nonsense("/v1/jobs", str(error).encode()) from error
        if (result.job, result.sha256) != (job.job, job.sha256):
            raise self._nonsense("/v1/jobs", body)
        return result

    def stop(self, job: UUID | str) -> None:
        """End it at its next run. One that ended, or is not known, is no matter."""
        status, body = self._request("DELETE", f"/v1/jobs/{job}")
        if status not in (200, 404):
            raise self._refusal("DELETE /v1/jobs", status, body)

    def must_be_free(self) -> None:
        """Raises InUse where another agent has the app: it lets none stop even an unknown job."""
        self.stop(uuid4())

    def _request(
        self, method: str, path: str, content: bytes | None = None, *, limit_s: float = 0.0
    ) -> tuple[int, bytes]:
        headers = {"X-Phonebook-Agent": self._agent}
        if content is not None and method == "POST":
            headers["Content-Type"] = "application/json"
        for _ in range(_TRIES):
            connection = self._connect(limit_s or self._answer_limit_s)
            try:
                # It may have answered before it had read all.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, body=content, headers=headers)
                with connection.getresponse() as response:
                    body = response.read(_MOST_ANSWER_BYTES)
                    if response.will_close:
                        self.close()
                    return response.status, body
            except TimeoutError:
                self.close()
                raise Asleep(
                    f"{self.udid}: the app does not answer; open it on the phone, and leave it "
                    "open"
                ) from None
            except (OSError, http.client.IncompleteRead):
                self.close()
            except http.client.HTTPException as error:
                self.close()
                raise self._nonsense(path, repr(error).encode()) from error
        raise HungUp(f"{self.udid}: the app hangs up; close it on the phone, and open it again")

    def _connect(self, limit_s: float) -> http.client.HTTPConnection:
        if self._connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            connection.sock = self._usbmuxd.connect(self.udid, PORT)
            connection.auto_open = 0
            self._connection = connection
        self._connection.sock.settimeout(limit_s)
        return self._connection

    def _refusal(self, what: str, status: int, body: bytes) -> Exception:
        refused = _refused(body)
        if status == 503:
            return Asleep(f"{self.udid}: {refused.error}; open the app on the phone")
        if status == 423:
            if refused.agent not in (None, self._agent):
                return InUse(
                    f"{self.udid}: another agent has the app, {refused.agent}; two at once would "
                    "disturb each other. Stop it; the app is free a minute after its last word, "
                    "or after the end of its job"
                )
            return JobRuns(refused.job)
        return AppUnfit(
            f"{self.udid}: the app answers {what} with {status}: {refused.error}. Is it of this "
            "version, device_agent/ios_app?"
        )

    def _nonsense(self, path: str, body: bytes) -> AnsweredNonsense:
        return AnsweredNonsense(
            f"{self.udid}: what listens on port {PORT} of the phone answers {path} as no "
            f"Phonebook app does: {body[:200].decode(errors='replace')!r}"
        )


def _refused(body: bytes) -> Refused:
    try:
        return Refused.model_validate_json(body or b"{}")
    except ValidationError:
        return Refused(error=body[:200].decode(errors="replace"))
