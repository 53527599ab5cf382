"""Those who read, listen and ask at a server while others work it hard."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from tests.e2e.processes import asked_for_health

LISTENERS = 20
READERS = 4
AT_ONCE_S = 1.0  # within which a server tells that it lives, whatever it is at
LIMIT_S = 60.0
CERTIFICATES = ssl.create_default_context()  # each client would read them anew


@dataclass
class Met:
    """What those met who were there meanwhile."""

    health_s: list[float] = field(default_factory=list)
    reads: Counter[int] = field(default_factory=Counter)
    listening: int = 0  # streams that have told something
    all_there: asyncio.Event = field(default_factory=asyncio.Event)

    def check(self) -> None:
        assert max(self.health_s) < AT_ONCE_S, f"{max(self.health_s)} s without a sign of life"
        assert self.reads.keys() == {200}, self.reads


def beside(server: str, work: Callable[[], None], *, read: str) -> Met:
    """What others meet who read that path, listen to the fleet and ask for the server's health
    while `work` goes on."""
    met = Met()

    async def story() -> None:
        async with (
            httpx.AsyncClient(base_url=server, timeout=LIMIT_S, verify=CERTIFICATES) as http,
            asyncio.TaskGroup() as group,
        ):
            others = [group.create_task(_read(http, read, met)) for _ in range(READERS)]
            others += [group.create_task(_listen(http, met)) for _ in range(LISTENERS)]
            try:
                await asyncio.wait_for(met.all_there.wait(), LIMIT_S)
                await asyncio.to_thread(work)
            finally:
                for other in others:
                    other.cancel()

    with asked_for_health(server) as met.health_s:
        asyncio.run(story())
    return met


async def _read(http: httpx.AsyncClient, path: str, met: Met) -> None:
    while True:
        met.reads[(await http.get(path)).status_code] += 1
        await asyncio.sleep(0.2)


async def _listen(http: httpx.AsyncClient, met: Met) -> None:
    """As a browser does: a stream that has ended is asked for anew."""
    has_told = False
    while True:
        async with http.stream("GET", "/fleet/events", timeout=None) as stream:
            stream.raise_for_status()
            async for line in stream.aiter_lines():
                if line.startswith("data:") and not has_told:
                    has_told = True
                    met.listening += 1
                    if met.listening == LISTENERS:
                        met.all_there.set()
