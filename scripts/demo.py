"""`make demo`: the whole of what Phonebook is for, on this computer, by its own commands.

Starts a server, profiles this computer, searches a network for it, and measures what was found.
Everything lands in runs/demo; a second run re-uses its table and the exported programs.
"""

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.stopping import interrupt_on_sigterm

OUT = Path("runs/demo")
DATABASE = f"sqlite:///{OUT / 'phonebook.db'}"
SPACE = "fbnet-32-0.35"
SEARCH = "--preset glimpse --data digits"
START_LIMIT_S = 60


def main() -> int:
    OUT.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with server() as address:
        where = f"--device host --space {SPACE} --server {address}"
        for title, command in (
            ("profile this computer", f"device_agent.run {where} --effort quick"),
            ("search a network for it", f"search.run {where} {SEARCH} --out {OUT} --overwrite"),
        ):
            code = step(title, command)
            if code != 0:
                return code
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        say(
            f"\nDone in {minutes} min {seconds} s. The result: {OUT / 'result.json'}, "
            f"the report: {OUT / 'report.html'}\n"
            f"The table's page is {address}/devices/host; to see it, start the server:\n"
            f"  .venv/bin/python -m server --database-url {DATABASE} --port {port_of(address)}"
        )
    return 0


@contextmanager
def server() -> Iterator[str]:
    """A server on loopback, on the port of the last demo if that is free."""
    remembered = OUT / "port"
    port = int(remembered.read_text()) if remembered.exists() else 0
    command = f"server --database-url {DATABASE} --port {port if is_free(port) else 0}"
    announce("start the look-up table service", command)
    log = (OUT / "server.log").open("wb")
    process = subprocess.Popen(python(command), stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise SystemExit(f"the server did not start; see {OUT / 'server.log'}")
        say(line.strip())
        remembered.write_text(str(port_of(found[0])))
        yield found[0]
    finally:
        process.terminate()
        process.wait(START_LIMIT_S)
        log.close()


def step(title: str, command: str) -> int:
    announce(title, command)
    return subprocess.run(python(command)).returncode


def announce(title: str, command: str) -> None:
    say(f"\n== {title}\n$ python -m {command}")


def python(command: str) -> list[str]:
    return [sys.executable, "-m", *shlex.split(command)]


def port_of(address: str) -> int:
    return int(address.rstrip("/").rsplit(":", 1)[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a script that talks to a person


if __name__ == "__main__":
    interrupt_on_sigterm()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
