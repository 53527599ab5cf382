"""`python -m tests.e2e.watching HOST PORT`: asks for a server's health until its input ends.

Then it prints how many seconds each answer took, as JSON. It is a process of its own, so that
nothing else that a test does makes an answer look late.
"""

import json
import sys
import time
from http.client import HTTPConnection
from threading import Event, Thread

EVERY_S = 0.05
LIMIT_S = 60.0


def main(host: str, port: int) -> None:
    ended = Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    connection = HTTPConnection(host, port, timeout=LIMIT_S)
    connection.connect()
    Thread(target=wait_for_end).start()
    print("began", flush=True)  # noqa: T201  # who started it waits for this
    took_s = []
    while not ended.wait(EVERY_S):
        began = time.monotonic()
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        took_s.append(time.monotonic() - began)
    print(json.dumps(took_s))  # noqa: T201  # so that a test reads it


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
