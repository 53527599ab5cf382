"""What the server said it has stored: a line in a file for each, written by every process."""

import json
import os
from collections import Counter
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Self
from uuid import UUID

import httpx

from contract.estimates import estimate
from contract.imports import Import
from contract.sessions import Session
from contract.timings import BatchReport, Timing, TimingBatch
from server.store.retention import samples_digest

STORED = (200, 201)


class Ledger:
    """One process's pen. `http` is a client whose answers are noted."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._answers: Counter[str] = Counter()
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._write({"kind": "answers", "counts": self._answers})
        os.close(self._file)

    def http(self, server: str, **options: Any) -> httpx.Client:
        hooks = {"response": [self._note]}
        return httpx.Client(base_url=server, timeout=60, event_hooks=hooks, **options)

    def fault(self, what: str) -> None:
        """Something that must not happen."""
        self._write({"kind": "fault", "what": what})

    def _note(self, response: httpx.Response) -> None:
        status = str(response.status_code)
        if response.status_code == 503 and "retry-after" not in response.headers:
            status += " without Retry-After"
        with self._lock:
            self._answers[status] += 1
        request = response.request
        if response.status_code in STORED and request.method in ("POST", "PUT"):
            self._note_stored(request.url.path.strip("/").split("/"), request.content, response)

    def _note_stored(self, path: list[str], body: bytes, response: httpx.Response) -> None:
        match path:
            case ["sessions"]:
                self._note_session(Session.model_validate_json(body))
            case ["sessions", session, "timings"]:
                self._note_timing(session, Timing.model_validate_json(body))
            case ["sessions", session, "timings", "batch"]:
                report = BatchReport.model_validate_json(response.read())
                stored = {each.id for each in report.outcomes if each.refused is None}
                for timing in TimingBatch.model_validate_json(body).timings:
                    if timing.id in stored:
                        self._note_timing(session, timing)
            case ["imports"]:
                new = Import.model_validate_json(body)
                self._note_session(new.session)
                for timing in new.timings:
                    self._note_timing(str(new.session.id), timing)
            case ["audits"]:
                self._write({"kind": "audit", "id": json.loads(body)["id"]})
            case ["jobs"]:
                self._write({"kind": "job", "id": json.loads(body)["id"]})
            case ["searches", search]:
                self._write({"kind": "search", "id": str(UUID(search))})
            case ["searches", search, "epochs", number]:
                digest = digest_of(json.loads(body))
                epoch = {"search": str(UUID(search)), "epoch": int(number), "digest": digest}
                self._write({"kind": "epoch", **epoch})

    def _note_session(self, session: Session) -> None:
        table = {
            "device": session.device,
            "runtime": session.runtime.key,
            "origin": session.origin,
        }
        self._write({"kind": "session", "id": str(session.id), **table})

    def _note_timing(self, session: str, timing: Timing) -> None:
        figures = estimate(timing.rounds_us, timing.drift) if timing.rounds_us else None
        self._write(
            {
                "kind": "timing",
                "id": str(timing.id),
                "session": session,
                "operator": timing.operator.key,
                "measured_at": timing.measured_at.astimezone(UTC).isoformat(),
                "samples": samples_digest(
                    [list(samples) for samples in timing.rounds_us] or None,
                    [list(factors) for factors in timing.drift] or None,
                ),
                "failure": timing.failure and timing.failure.code,
                "figures": figures and dict(figures),
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, f"{json.dumps(line)}\n".encode())


def digest_of(content: object) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
