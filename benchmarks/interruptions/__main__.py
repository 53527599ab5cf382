"""`python -m benchmarks.interruptions --times 50`: kill -9, SIGTERM and Ctrl-C at random moments.

Starts the agent, an agent that serves, a search and a server, each again and again, and stops
each at a random moment by one of the three in turn. None may leave a process, say a traceback or
lose what it had; left alone in the end, each goes on and finishes. Prints one table, and ends
with 1 if anything was wrong. Run it alone: the agent waits until nothing else is at work here.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from benchmarks.interruptions.processes import EXPECTED, SIGNALS, Command
from benchmarks.interruptions.victims import MOST_STARTS, Run, Search, Serve, Server, Victim
from benchmarks.service.serving import served
from contract.cli import command_line, main
from contract.client import table_client
from contract.spaces import find_space

Name = Literal["run", "serve", "search", "server"]
NAMES: tuple[Name, ...] = ("run", "serve", "search", "server")
ALONE_LIMIT_S = 600.0
SCREEN = Console(highlight=False, width=110)
SPACE = """
name: interrupted
resolution: 16
classes: 10
stem: {block: {kind: conv, kernel_size: 3, activation: relu}, channels: 8, stride: 2}
stages:
  - channels: 16
    depth: 2
    stride: 2
    candidates:
      - {kind: mbconv, kernel_size: 3, expansion: 1}
      - {kind: mbconv, kernel_size: 5, expansion: 3}
heads: [{kind: head, channels: 32}]
"""

app = command_line("python -m benchmarks.interruptions", __doc__ or "")


@dataclass
class Outcome:
    """What came of one program."""

    name: str
    by: Counter[str] = field(default_factory=Counter)
    ended_before: int = 0
    kept: int = 0
    wrong: list[str] = field(default_factory=list)


@app.default
def run(
    *,
    times: Annotated[int, Parameter(help="Interruptions of each program.")] = 50,
    only: Annotated[Sequence[Name], Parameter(help="These programs alone.")] = NAMES,
    seed: Annotated[int, Parameter(help="Of the moments.")] = 0,
) -> None:
    """Interrupt the programs, and look at what they left."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "interrupted.yaml"
        file.write_text(SPACE)
        space = find_space(str(file))
        address = stack.enter_context(
            served(f"sqlite:///{folder}/phonebook.db", log=folder / "server.log")
        ).address
        client = stack.enter_context(table_client(address))
        home, log = folder / "home", folder / "log"
        generator = random.Random(seed)
        profiler = Run(address, home, space, file)
        found = []
        if {"serve", "search"} & set(only) and "run" not in only:
            left_alone(profiler, home, log)  # these two need a table
        victims: dict[Name, Callable[[], Victim]] = {
            "run": lambda: profiler,
            "serve": lambda: Serve(address, home, space, client),
            "search": lambda: Search(address, folder / "searches", file),
            "server": lambda: stack.enter_context(Server(folder)),
        }
        for name in (each for each in NAMES if each in only):
            found.append(interrupt(victims[name](), home, log, times, generator))
    table = Table("program", *(by.name for by in SIGNALS), "ended before", "safe", "wrong")
    for each in found:
        counts = (str(each.by[by.name]) for by in SIGNALS)
        table.add_row(
            each.name, *counts, str(each.ended_before), str(each.kept), str(len(each.wrong))
        )
    SCREEN.print(table)
    for each in found:
        for line in each.wrong:
            SCREEN.print(f"{each.name}: {line}", markup=False)
    sys.exit(any(each.wrong for each in found))


def interrupt(
    victim: Victim, home: Path, log: Path, times: int, generator: random.Random
) -> Outcome:
    """Stop it so often, and then leave it alone."""
    outcome = Outcome(victim.name)
    while outcome.by.total() < times:
        by = SIGNALS[outcome.by.total() % len(SIGNALS)]
        before = victim.kept()
        command = Command(victim.words(), home, log)
        code = command.wait(generator.uniform(0, victim.span_s))
        if code is None:
            code = command.stop(by)
            outcome.by[by.name] += 1
            if code not in EXPECTED[by]:
                outcome.wrong.append(f"{by.name}: ended with {code}: {command.said()[-300:]}")
        else:
            outcome.ended_before += 1
            if code != 0:
                outcome.wrong.append(f"ended by itself with {code}: {command.said()[-300:]}")
        outcome.wrong += [f"{by.name}: left {line}" for line in command.left_behind()]
        if "Traceback" in command.said():
            outcome.wrong.append(f"{by.name}: {command.said()[-1500:]}")
        if (after := victim.kept()) < before:
            outcome.wrong.append(f"{by.name}: of {before} kept, {after} are left")
        SCREEN.print(
            f"{victim.name}: {outcome.by.total()} of {times}, {len(outcome.wrong)} wrong", end="\r"
        )
    outcome.wrong += left_alone(victim, home, log)
    outcome.kept = victim.kept()
    return outcome


def left_alone(victim: Victim, home: Path, log: Path) -> list[str]:
    """Start it a last time, and see that it comes to its end with everything in order."""
    if victim.needs_end:
        for _ in range(MOST_STARTS):
            command = Command(victim.last_words(), home, log)
            code = command.wait(ALONE_LIMIT_S)
            left = command.left_behind()
            if code != 0 or left:
                return [f"left alone it ended with {code}, left {left}: {command.said()[-300:]}"]
            if victim.is_done():
                return victim.faults()
        return [f"it did not come to its end in {MOST_STARTS} starts"]
    command = Command(victim.words(), home, log)
    wrong = victim.faults()
    command.stop(SIGNALS[1])
    return wrong + command.left_behind()


if __name__ == "__main__":
    main(app)
