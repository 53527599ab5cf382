"""Everything the server reads from its environment, once."""

from ipaddress import ip_address

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.errors import PhonebookError

PREFIX = "PHONEBOOK_"


class Settings(BaseSettings):
    """`PHONEBOOK_DATABASE_URL` and so on; whatever is given by name goes first."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    database_url: str = "sqlite:///phonebook.db"
    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65_535)  # 0: any free one
    max_body_bytes: int = Field(default=4 * 2**20, ge=1)

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, host: str) -> str:
        if not _is_loopback(host):
            raise ValueError(
                f"{host!r} can be reached by others, and this server asks nobody who they are; "
                "listen on 127.0.0.1, ::1 or localhost"
            )
        return host


def read_settings(**given: str | int | None) -> Settings:
    """What was given on the command line, then the environment, then the defaults.

    Raises:
        PhonebookError: a setting is wrong; the message tells all of them.
    """
    try:
        return Settings.model_validate(
            {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        wrong = []
        for one in error.errors():
            name = str(one["loc"][0])
            reason = one["msg"].removeprefix("Value error, ")
            wrong.append(f"{name} ({PREFIX}{name.upper()}): {reason}")
        raise PhonebookError("; ".join(wrong)) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
