"""The command lines that messages and pages tell people to run."""

import shlex
from uuid import UUID

from contract.runtime import Runtime


def profile(
    device: str,
    *,
    space: str | None = None,
    runtime: Runtime | None = None,
    again: bool = False,
) -> str:
    """Measures what the device's table lacks of the space; with `again`, all of it."""
    words = _table(device, space, runtime)
    return _line("device_agent.run", *words, *(("--again",) if again else ()))


def audit(device: str, *, space: str | None = None, runtime: Runtime | None = None) -> str:
    return _line("device_agent.audit", *_table(device, space, runtime))


def serve(device: str | None = None, *, server: str | None = None) -> str:
    return _line("device_agent.serve", *_given("--device", device), *_given("--server", server))


def send_outbox(*, server: str | None = None) -> str:
    return _line("device_agent.outbox", *_given("--server", server))


def examine(device: str) -> str:
    return _line("device_agent.doctor", "--device", device)


def adopt_runner() -> str:
    """Takes a runner for phones that was built with the Android NDK."""
    return _line("device_agent.bundle", "--runner", "PATH")


def cancel_job(job: UUID, *, server: str | None = None) -> str:
    return _line("device_agent.jobs", "cancel", str(job), *_given("--server", server))


def retry_job(job: UUID, *, server: str) -> str:
    return _line("device_agent.jobs", "retry", str(job), "--server", server)


def search(*devices: str, options: tuple[str, ...] = ()) -> str:
    named = (word for device in devices for word in ("--device", device))
    return _line("search.run", *named, *options)


def predict(device: str, *, network: str, measure: str) -> str:
    words = ("--device", device, "--network", network, "--measure", measure)
    return _line("search.predict", *words)


def server() -> str:
    return _line("server")


def create_token(*, role: str, name: str = "NAME", expires: str | None = None) -> str:
    words = ("--name", name, "--role", role, *_given("--expires", expires))
    return _line("server.tokens", "create", *words)


def revoke_token(name: str) -> str:
    return _line("server.tokens", "revoke", name)


def set_default_runtime(device: str, runtime: Runtime) -> str:
    return _line("server.devices", "default-runtime", device, runtime.key)


def bring_back_device(device: str, *, reason: str = "WHY") -> str:
    return _line("server.devices", "bring-back", device, "--reason", reason)


def annotate_session(session: UUID, *, text: str = "TEXT") -> str:
    return _line("server.sessions", "annotate", str(session), "--note", text)


def drop_old_samples() -> str:
    return _line("server.retention")


def upgrade_schema() -> str:
    return _line("server.schema", "upgrade")


def install(*extras: str) -> str:
    """Installs this checkout: Phonebook is on no public index, where `phonebook` is another's."""
    checkout = f".[{','.join(extras)}]" if extras else "."
    return _line("pip", "install", "-c", "constraints.txt", "-e", checkout)


def install_library(name: str) -> str:
    """Installs what somebody else keeps, beside Phonebook."""
    return shlex.join(("pip", "install", name))


def _table(device: str, space: str | None, runtime: Runtime | None) -> tuple[str, ...]:
    options = runtime.options if runtime else ()
    return ("--device", device, *_given("--space", space), *options)


def _given(option: str, value: str | None) -> tuple[str, ...]:
    return () if value is None else (option, value)


def _line(module: str, *words: str) -> str:
    return shlex.join(("python", "-m", module, *words))
