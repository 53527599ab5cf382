"""How every command line looks and ends: plain help, one line for an error, one exit code."""

import errno
import os
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError

from contract.early import say_interrupted
from contract.errors import PhonebookError
from contract.places import cannot_write
from contract.stopping import Terminated, die_of_sigterm, interrupt_on_sigterm

USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
# A disk that is full or may not be written is nobody's mistake but the computer's keeper's.
_OF_FILES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
)


# Processes that a command starts import it too, and are called as it is.
sys.excepthook = say_interrupted


def command_line(name: str, help: str) -> App:
    """An app for `main`; `name` is what a person types, as `python -m search.run`."""
    return App(
        name=name,
        help=help,
        help_format="plaintext",
        version_flags=(),
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )


def main(app: App) -> NoReturn:
    """Run the app on the command line's arguments and exit: 0, the error's code, 130 where Ctrl-C
    ended it, or by SIGTERM where that did; what was open is closed in either case.

    A file that cannot be written, wherever that is, is one line too.
    """
    interrupt_on_sigterm()
    try:
        app()
    except CycloptsError:
        sys.exit(USAGE)  # already explained on the screen
    except PhonebookError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # the one place that tells a person
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read along has enough; Python would complain of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        if error.errno not in _OF_FILES:
            raise
        told = cannot_write(error, error.filename or "a file of this command")
        print(f"error: {told}", file=sys.stderr)  # noqa: T201  # as above
        sys.exit(USAGE)
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, Terminated):  # whoever sent that knows
            sys.stdout.flush()
            die_of_sigterm()
        print("interrupted", file=sys.stderr)  # noqa: T201  # as above
        sys.exit(INTERRUPTED)
    sys.exit(0)
