"""How every command line ends: one line for a person, one exit code for a script."""

import sys
from collections.abc import Callable
from typing import NoReturn

from contract.errors import PhonebookError

INTERRUPTED = 130


def main(app: Callable[[], object]) -> NoReturn:
    """Run a command line and exit: 0, the error's code, or 130 after Ctrl-C."""
    try:
        app()
    except PhonebookError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # the one place that tells a person
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(INTERRUPTED)
    sys.exit(0)
