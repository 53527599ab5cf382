"""Starting the app from this computer, where the user has the pymobiledevice3 command."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

COMMAND = "pymobiledevice3"
BUNDLE = "dev.phonebook.bench"
BUNDLE_VARIABLE = "PHONEBOOK_IPHONE_APP"  # of who had to sign the app under another identifier
LIMIT_S = 60.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"\b(ERROR|CRITICAL)\b|^Error\b|^Traceback", re.MULTILINE)


def launch_command(udid: str) -> list[str]:
    """What starts the app on that phone, whose Developer Mode must be on."""
    bundle = os.environ.get(BUNDLE_VARIABLE) or BUNDLE
    return [COMMAND, "developer", "dvt", "launch", "--udid", udid, bundle]


def can_launch() -> bool:
    return shutil.which(COMMAND) is not None


@dataclass(frozen=True, slots=True)
class Launch:
    """What the command that starts the app said, and whether it failed for sure.

    Some versions print an error and exit with 0, so that what it said is kept in any case.
    """

    has_failed: bool
    said: str


def launch(udid: str) -> Launch:
    """Start the app."""
    try:
        done = subprocess.run(
            launch_command(udid), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Launch(True, str(error))
    said = _COLOUR.sub("", f"{done.stdout}\n{done.stderr}").strip()
    return Launch(done.returncode != 0 or _ERROR.search(said) is not None, said[-300:])
