"""One folder for all that the programs keep on this computer, where PHONEBOOK_HOME names one."""

import errno
import os
from pathlib import Path

from contract.errors import PhonebookError

HOME_VARIABLE = "PHONEBOOK_HOME"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def place(name: str, default: Path) -> Path:
    """The folder of that name under PHONEBOOK_HOME, or the default one; made if it is missing.

    Raises:
        PhonebookError: it cannot be made.
    """
    home = os.environ.get(HOME_VARIABLE)
    found = Path(home).absolute() / name if home else default
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhonebookError(cannot_write(error, found)) from error
    return found


def cannot_write(error: OSError, path: Path | str) -> str:
    """What is wrong with a file or folder on this computer, and what to do about it."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return f"{path}: {reason}; make room on that disk, then run the same command again"
    return (
        f"{path}: {reason}; mend its rights, or let {HOME_VARIABLE} name another folder for what "
        "Phonebook keeps on this computer"
    )
