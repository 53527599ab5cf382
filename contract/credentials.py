"""The token that a program shows to the server: from its environment, or from a file it names."""

import os
import re
from pathlib import Path

from contract import commands
from contract.errors import PhonebookError

TOKEN_VARIABLE = "PHONEBOOK_TOKEN"
TOKEN_FILE_VARIABLE = "PHONEBOOK_TOKEN_FILE"
HOW_TO_SET = (
    f"set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a file that holds it; the server's keeper "
    f"makes one with `{commands.create_token(role='agent')}`"
)
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def token() -> str | None:
    """The token of the environment, or None: a server on this computer needs none
    before one is made.

    Raises:
        PhonebookError: the file cannot be read, or what is there cannot be a token.
    """
    given, file = os.environ.get(TOKEN_VARIABLE), os.environ.get(TOKEN_FILE_VARIABLE)
    if given:
        return _checked(given, TOKEN_VARIABLE)
    if not file:
        return None
    try:
        return _checked(Path(file).read_text(), f"{TOKEN_FILE_VARIABLE} ({file})")
    except OSError as error:
        raise PhonebookError(f"{TOKEN_FILE_VARIABLE}: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PhonebookError(f"{TOKEN_FILE_VARIABLE}: {file} holds no text") from error


def _checked(text: str, where: str) -> str:
    """The token, which no message ever shows."""
    found = text.strip()
    if not _BEARER.fullmatch(found):
        raise PhonebookError(
            f"{where} holds no token; one looks like pb_ and 43 letters, digits, - and _"
        )
    return found
