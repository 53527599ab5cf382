"""The command lines that messages and pages tell people to run."""

import shlex
from uuid import UUID


def cancel_job(job: UUID, *, server: str) -> str:
    return _line("device_agent.jobs", "cancel", str(job), "--server", server)


def retry_job(job: UUID, *, server: str) -> str:
    return _line("device_agent.jobs", "retry", str(job), "--server", server)


def _line(module: str, *words: str) -> str:
    return shlex.join(("python", "-m", module, *words))
