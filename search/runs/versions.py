"""What a run was made with."""

import platform
from importlib.metadata import version

from contract.version import installed_version


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "phonebook": installed_version(),
        "torch": version("torch"),
        "python": platform.python_version(),
    }
