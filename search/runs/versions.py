"""What a run was made with."""

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "phonebook": version("phonebook"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }
