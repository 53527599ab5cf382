"""What became of the outbox, and how a person is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from contract import commands
from contract.problems import WRONG_CLOCK
from device_agent.measuring.journal import Journal


@dataclass(frozen=True, slots=True)
class Kept:
    """A result that the server has not stored; `type` is the problem's, where it told one."""

    id: UUID
    what: str
    reason: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class KeptVisits:
    """Visits of a session that the server has not stored: refused for good, or waiting."""

    session: UUID
    count: int
    reason: str
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the outbox: `refused` for good, or `waiting` for the next time.

    `clocks_differ`: the server takes for the future what is past here, and would take for it
    whatever is measured now. `visits` are those that it has not stored; without them no result is
    less.
    """

    accepted: int
    refused: tuple[Kept, ...]
    waiting: tuple[Kept, ...]
    clocks_differ: bool = False
    visits: tuple[KeptVisits, ...] = ()

    @property
    def kept(self) -> tuple[Kept, ...]:
        return self.refused + self.waiting

    @property
    def lines(self) -> tuple[str, ...]:
        """What was not stored and why, a line for each reason."""
        return (
            *_grouped(self.refused, "was refused for good", "were refused for good"),
            *_grouped(self.waiting, "waits", "wait"),
            *_visit_lines(self.visits),
        )


def results(count: int) -> str:
    return "1 result" if count == 1 else f"{count} results"


def visits(count: int) -> str:
    return "1 visit" if count == 1 else f"{count} visits"


def too_large(server: str) -> str:
    """Why something waits that is larger than the server takes."""
    return (
        f"{server} answered 413: the server or a proxy before it takes no bodies that large; "
        "raise PHONEBOOK_MAX_BODY_BYTES there, or the proxy's limit (nginx: client_max_body_size)"
    )


def left_behind(journal: Journal, server: str) -> str:
    """The sentence after an error that ended the sending."""
    waiting = journal.waiting(server)
    return (
        f"{results(waiting)} {'waits' if waiting == 1 else 'wait'} in the outbox; the agent's "
        f"next run sends them, and so does `{commands.send_outbox(server=server)}`"
    )


def what_to_do(server: str) -> str:
    """The sentence after results that were not stored."""
    return (
        f"All of it is kept: `{commands.send_outbox(server=server)}` sends what waits, with "
        "--resend also what was refused, and with --list shows both"
    )


def _grouped(kept: Sequence[Kept], verb: str, verbs: str) -> list[str]:
    """Equal reasons once. The clock's are one, though each tells its own time."""
    groups: dict[str, list[Kept]] = {}
    for each in kept:
        key = WRONG_CLOCK if each.type == WRONG_CLOCK else each.reason
        groups.setdefault(key, []).append(each)
    return [
        f"{group[0].what} {verb}: {group[0].reason}"
        if len(group) == 1
        else f"{results(len(group))} {verbs}: {group[0].reason}"
        for group in groups.values()
    ]


def _visit_lines(kept: Sequence[KeptVisits]) -> list[str]:
    """Equal fates once."""
    groups: dict[tuple[bool, str], list[KeptVisits]] = {}
    for each in kept:
        groups.setdefault((each.is_refused, each.reason), []).append(each)
    return [
        f"{visits(sum(each.count for each in group))} of "
        + (f"session {group[0].session}" if len(group) == 1 else f"{len(group)} sessions")
        + (f" were refused for good: {reason}" if is_refused else f" wait: {reason}")
        for (is_refused, reason), group in groups.items()
    ]
