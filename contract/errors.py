"""The errors a person meets, and the exit codes they end a program with.

PhonebookError                  exit 2  bad input: who, what, and what to do next
|-- ServerUnreachable           exit 3  no answer
|-- ServerAnsweredNonsense      exit 3  an answer that is not Phonebook's
|-- RequestRefused              exit 3  the server said no, with a problem document
|-- NotStored                   exit 3  the server did not take what was measured, which is kept
|-- ClocksDiffer                exit 3  this computer and the server tell different times
|-- IncompleteTable             exit 4  operators have no row
|-- DeviceFailed                exit 5  the device could not do it
|-- Diverged                    exit 6  a search or training no longer learns
`-- Collapsed                   exit 6  a search chooses to compute nothing
Interrupted by Ctrl-C           exit 130
"""

from collections.abc import Sequence

_PASSING = frozenset({408, 425, 429})


class PhonebookError(Exception):
    """Bad input. The message says who, what, and what to do next."""

    exit_code = 2


class ServerUnreachable(PhonebookError):
    """The server did not answer."""

    exit_code = 3


class ServerAnsweredNonsense(PhonebookError):
    """Something answered, but not as a Phonebook server does.

    Attributes:
        status: the HTTP status, where that is what was wrong.
        passes: whether Phonebook answered there before, so that this is a proxy's word while its
            server is away. At the first contact the address may be wrong.
    """

    exit_code = 3

    def __init__(self, message: str, *, status: int | None = None, passes: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.passes = passes


class RequestRefused(PhonebookError):
    """The server answered with a problem document.

    Attributes:
        status: the HTTP status.
        retry_after_s: after how long the server wants to be asked again, if it says so.
        type: what programs know the problem by (`contract.timings`).
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after_s: float | None = None,
        type: str = "about:blank",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.type = type


class NotStored(PhonebookError):
    """The server did not take some of what was measured; the journal keeps it."""

    exit_code = 3


class ClocksDiffer(PhonebookError):
    """This computer and the server tell different times, so that one would date what is measured
    wrongly for the other."""

    exit_code = 3


class IncompleteTable(PhonebookError):
    """A network or a space needs operators that the table has no row for.

    Attributes:
        missing: the operators' keys.
    """

    exit_code = 4

    def __init__(self, message: str, *, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class DeviceFailed(PhonebookError):
    """The device could not do what it was asked."""

    exit_code = 5


class Diverged(PhonebookError):
    """The loss of a search or a training is no longer a number, or worse than that of guessing."""

    exit_code = 6


class Collapsed(PhonebookError):
    """A search whose theta skips nearly all that may be skipped."""

    exit_code = 6


def is_passing(error: Exception) -> bool:
    """Whether the server may yet answer the same request: it is away, busy, or in trouble, or its
    clock is to be set."""
    if isinstance(error, RequestRefused):
        return error.status in _PASSING or error.status >= 500
    if isinstance(error, ServerAnsweredNonsense):
        return error.passes
    return isinstance(error, ServerUnreachable | ClocksDiffer)


def listing(names: Sequence[str], *, most: int = 3) -> str:
    """`a, b, c and 31 more`."""
    shown = ", ".join(names[:most])
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown


def near(name: str, known: Sequence[str]) -> str:
    """The sentence that helps after a mistyped name."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}" if known else "none is known yet"
