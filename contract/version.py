"""Which version of Phonebook is installed here."""

from importlib.metadata import PackageNotFoundError, version

from contract import commands
from contract.errors import PhonebookError

DISTRIBUTION = "phonebook-lut"  # on the public index `phonebook` is somebody else's


def installed_version() -> str:
    """The version, as an agent and a search tell it.

    Raises:
        PhonebookError: the code runs from a folder of which nothing was installed.
    """
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError as error:
        raise PhonebookError(
            f"{DISTRIBUTION} is not installed for this Python; in the checkout run "
            f"`{commands.install()}`"
        ) from error
