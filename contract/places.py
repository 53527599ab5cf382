"""One folder for all that the programs keep on this computer, where PHONEBOOK_HOME names one."""

import os
from pathlib import Path

HOME_VARIABLE = "PHONEBOOK_HOME"


def place(name: str, default: Path) -> Path:
    """The folder of that name under PHONEBOOK_HOME, or the default one; made if it is missing."""
    home = os.environ.get(HOME_VARIABLE)
    found = Path(home).absolute() / name if home else default
    found.mkdir(parents=True, exist_ok=True)
    return found
