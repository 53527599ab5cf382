"""A stand-in of the iPhone app for tests: it keeps to the protocol, and times nothing."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.fakes import OUTPUT, PROBE_NS

MOST_BYTES = 64 << 20
Answer = tuple[int, dict[str, Any]]


@dataclass
class FakeApp:
    """A context manager: while it is entered it listens on `port`, with what a test sets here.

    A program's content says how its jobs end: one that begins with `slow` takes a quarter of a
    second, `crash` ends the app, `damaged` does not load, `hang` never ends.
    """

    model: str = "iPhone10,3"
    protocol: int = 1
    executorch: str = "1.5.1"
    tracer: bool = True
    emulated: bool = False
    thermal: str = "nominal"
    low_power: bool = False
    asleep: bool = False
    held_by: str | None = None
    stops: bool = True  # a job that it is told to stop
    room: int = 1 << 30  # bytes
    damages: int = 0  # how many of the next uploads arrive changed
    mute: bool = False  # takes requests, and answers none
    looks: list[str] = field(default_factory=list)  # the thermal states of the next ones
    on_post: list[Callable[[], object]] = field(default_factory=list)  # one for each next job
    breaks: list[str] = field(default_factory=list)  # the statuses of the next jobs
    programs: dict[str, bytes] = field(default_factory=dict)
    uploads: int = 0
    posted: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    port: int = 0

    def __enter__(self) -> Self:
        self._jobs: dict[str, tuple[dict[str, Any], float]] = {}  # and when each ends
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.app = self
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._thread.is_alive():
            self.end()

    def end(self) -> None:
        """As an app that was closed, or crashed: its jobs are gone, its programs stay."""
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def restart(self) -> None:
        self.end()
        self.__enter__()

    @property
    def running(self) -> str | None:
        now = time.monotonic()
        return next((job for job, (_, ends) in self._jobs.items() if ends > now), None)

    def conditions(self) -> dict[str, Any]:
        return {
            "thermal": self.thermal,
            "low_power": self.low_power,
            "battery": 0.93,
            "charging": True,
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        held = self.held_by is not None and method in ("PUT", "POST", "DELETE")
        match method, path.split("/")[2:]:
            case _ if held:
                return 423, {"error": f"in use by {self.held_by}", "agent": self.held_by}
            case "GET", ["info"]:
                return 200, self._info()
            case "HEAD", ["programs", digest]:
                return (200 if digest in self.programs else 404), {}
            case "PUT", ["programs", digest]:
                return self._put(digest, body)
            case "DELETE", ["programs"]:
                return self._delete_programs()
            case "POST", ["jobs"]:
                return self._post(json.loads(body))
            case "GET", ["jobs", job]:
                return self._result(job)
            case "DELETE", ["jobs", job]:
                return self._stop(job)
        return 400, {"error": f"no route {method} {path}"}

    def _info(self) -> dict[str, Any]:
        thermal = self.looks.pop(0) if self.looks else self.thermal
        state = "asleep" if self.asleep else "busy" if self.running else "idle"
        return {
            **{"app": "phonebook-bench", "protocol": self.protocol, "version": "0.1.0"},
            **{"model": self.model, "name": "iPhone X", "soc": "A11 Bionic", "os": "iOS 16.7.10"},
            **{"build": "20H350", "cores": 6, "memory_bytes": 2_960_000_000, "runner": "native"},
            **{"executorch": self.executorch, "tracer": self.tracer, "emulated": self.emulated},
            **{"state": state, "job": self.running, "free_bytes": self.room},
            "conditions": self.conditions() | {"thermal": thermal},
        }

    def _put(self, digest: str, content: bytes) -> Answer:
        if len(content) > MOST_BYTES:
            return 413, {"error": "a program has at most 64 MiB"}
        if len(content) > self.room - sum(map(len, self.programs.values())):
            return 507, {"error": "no space left on the phone"}
        if self.damages > 0 or hashlib.sha256(content).hexdigest() != digest:
            self.damages -= 1
            return 422, {"error": "the bytes have another hash"}
        self.programs[digest] = content
        self.uploads += 1
        return 201, {"bytes": len(content)}

    def _delete_programs(self) -> Answer:
        if self.running is not None:
            return self._busy()
        self.programs.clear()
        return 200, {}

    def _busy(self) -> Answer:
        return 423, {"error": f"busy with {self.running}", "job": self.running}

    def _post(self, job: dict[str, Any]) -> Answer:
        name = job["job"]
        if self.asleep:
            return 503, {"error": "the app is asleep"}
        if name in self._jobs:
            return 202, {"job": name}
        if self.running is not None:
            return self._busy()
        if job["sha256"] not in self.programs:
            return 409, {"error": "that program is not here"}
        self.posted.append(job)
        content = self.programs[job["sha256"]]
        lasts = 0.25 if content.startswith(b"slow") else 0.0
        lasts = 1e9 if content.startswith((b"hang", b"crash")) else lasts
        self._jobs[name] = (job, time.monotonic() + lasts)
        if content.startswith(b"crash"):
            self.restart()
        if self.on_post:
            self.on_post.pop(0)()
        return 202, {"job": name}

    def _result(self, name: str) -> Answer:
        if name not in self._jobs:
            return 404, {"error": "no such job; the app may have been restarted"}
        job, ends = self._jobs[name]
        if ends > time.monotonic():
            return 202, {"job": name, "status": "running"}
        result = {
            **{"job": name, "sha256": job["sha256"], "status": "ok"},
            **{"answer": None, "output": None, "error": None},
            **{"before": self.conditions(), "after": self.conditions()},
        }
        status = self.breaks.pop(0) if self.breaks else "ok"
        if name in self.stopped:
            status = "stopped"
        if self.programs[job["sha256"]].startswith(b"damaged"):
            error = {"code": "load_failed", "message": "not a program"}
            return 200, result | {"status": "failed", "error": error}
        if status != "ok":
            return 200, result | {"status": status, "error": {"code": status, "message": status}}
        runs = job["min_runs"]
        event = {"name": "Convolution (NHWC, F32) IGEMM #1", "samples_ns": [4_000_000] * runs}
        answer = {
            **{"samples_ns": [5_000_000] * runs, "probes_ns": [PROBE_NS] * (runs + 1)},
            **{"first_run_ns": 6_000_000, "load_ns": 1_000, "delegates": ["XnnpackBackend"]},
            "events": [event] if job["trace"] else [],
        }
        output = base64.b64encode(OUTPUT.tobytes()).decode()
        return 200, result | {"answer": answer, "output": output}

    def _stop(self, name: str) -> Answer:
        if name not in self._jobs:
            return 404, {"error": "no such job"}
        self.stopped.append(name)
        if self.stops:
            self._jobs[name] = (self._jobs[name][0], time.monotonic())
        return 200, {}


class _Server(ThreadingHTTPServer):
    app: FakeApp
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for request in list(self._open):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        app = self.server.app
        while app.mute:
            time.sleep(0.02)
        app.agents.add(self.headers.get("X-Phonebook-Agent", ""))
        status, content = app.answer(self.command, self.path, body)
        said = b"" if self.command == "HEAD" else json.dumps(content).encode()
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, *arguments: Any) -> None:
        """Nothing: the tests' output is their own."""
