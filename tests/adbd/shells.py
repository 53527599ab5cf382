"""The services `shell:`, `exec:` and `shell,v2`: a command with its streams."""

import asyncio
import os
import signal
import struct
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress

from tests.adbd.phone import FakePhone
from tests.adbd.wire import Stream

STDIN, OUT, ERR, EXIT, CLOSE_STDIN = 0, 1, 2, 3, 4
HEADER = struct.Struct("<BI")


async def shell(
    phone: FakePhone,
    stream: Stream,
    command: str,
    running: set[Process],
    *,
    v2: bool,
    crlf: bool,
) -> None:
    """Losing the client closes the command's pipes and kills nothing, as with the real adbd.

    What runs, and may go on after its client, is in `running`.
    """
    process = await asyncio.create_subprocess_exec(
        *phone.shell(command),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE if v2 else STDOUT,
        env=phone.environment,
        start_new_session=True,
    )
    running.add(process)
    feeder = asyncio.create_task(_feed(process, stream, v2=v2))
    try:
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(process.stdout, stream, OUT if v2 else None, crlf))
            if v2:
                pumps.create_task(_pump(process.stderr, stream, ERR, crlf=False))
        code = await process.wait()
        if v2:
            ending = code if code >= 0 else 128 - code
            await stream.write(HEADER.pack(EXIT, 1) + bytes([ending & 0xFF]))
    finally:
        feeder.cancel()


async def _pump(
    source: asyncio.StreamReader | None, stream: Stream, kind: int | None, crlf: bool
) -> None:
    assert source is not None
    while data := await source.read(16384):
        if kind is not None:
            await stream.write(HEADER.pack(kind, len(data)) + data)
        else:
            await stream.write(data.replace(b"\n", b"\r\n") if crlf else data)


async def _feed(process: Process, stream: Stream, *, v2: bool) -> None:
    stdin = process.stdin
    assert stdin is not None
    try:
        while True:
            if not v2:
                stdin.write(await stream.read(1))
                continue
            kind, length = HEADER.unpack(await stream.read(HEADER.size))
            data = await stream.read(length)
            if kind == STDIN:
                stdin.write(data)
                await stdin.drain()
            elif kind == CLOSE_STDIN:
                stdin.close()
    except (EOFError, ConnectionError):
        stdin.close()


async def end(running: set[Process]) -> None:
    """Kill what still runs, and what it started."""
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
