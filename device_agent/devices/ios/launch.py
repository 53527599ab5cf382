"""Starting the app from this computer, where the user has the pymobiledevice3 command."""

import os
import shutil
import subprocess

COMMAND = "pymobiledevice3"
BUNDLE = "dev.phonebook.bench"
BUNDLE_VARIABLE = "PHONEBOOK_IPHONE_APP"  # of who had to sign the app under another identifier
LIMIT_S = 60.0


def launch_command(udid: str) -> list[str]:
    """What starts the app on that phone, whose Developer Mode must be on."""
    bundle = os.environ.get(BUNDLE_VARIABLE) or BUNDLE
    return [COMMAND, "developer", "dvt", "launch", "--udid", udid, bundle]


def can_launch() -> bool:
    return shutil.which(COMMAND) is not None


def launch(udid: str) -> str | None:
    """Start the app. Returns what the command said where it failed."""
    try:
        done = subprocess.run(
            launch_command(udid), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip()[-300:]
