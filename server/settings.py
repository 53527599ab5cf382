"""Everything the server reads from its environment, once."""

import os
import re
import sys
from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contract.errors import PhonebookError

PREFIX = "PHONEBOOK_"
DEFAULT_PORT = 8420
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Settings(BaseSettings):
    """`PHONEBOOK_DATABASE_URL` and so on; whatever is given by name goes first."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    database_url: str = "sqlite:///phonebook.db"
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65_535)  # 0: any free one
    max_body_bytes: int = Field(default=4 * 2**20, ge=1)
    open_reads: bool = False  # whether anybody who reaches the server may read
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()  # further names of this computer
    local_access: bool = True  # whether somebody here may do without a token before there is one
    proxies: Annotated[tuple[str, ...], NoDecode] = ()  # addresses and networks of trusted ones
    root_path: str = ""  # below which a proxy shows the server, as /phonebook
    rate: float = Field(default=100, ge=0, le=1e6)  # writes a second of one sender; 0: no limit

    @field_validator("allowed_hosts", "proxies", mode="before")
    @classmethod
    def _by_comma(cls, hosts: str | tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(hosts, str):
            return tuple(host.strip() for host in hosts.split(",") if host.strip())
        return hosts

    @field_validator("proxies")
    @classmethod
    def _are_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"{proxy!r} is no address and no network; give those that the proxy connects "
                    "from, as 127.0.0.1 or 172.18.0.0/16"
                ) from error
        return proxies

    @field_validator("root_path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        bare = path.rstrip("/")
        if not _ROOT_PATH.fullmatch(bare):
            raise ValueError(f"{path!r} is no path of a proxy; give one as /phonebook")
        return bare

    @property
    def spares_tokens(self) -> bool:
        """Whether somebody at this computer may do without a token before there is one: what
        comes through a proxy may be anybody's."""
        return self.local_access and not self.proxies


def read_settings(**given: str | int | None) -> Settings:
    """What was given on the command line, then the environment, then the defaults.

    Raises:
        PhonebookError: a setting is wrong; the message tells all of them.
    """
    told = {name: value for name, value in given.items() if value is not None}
    of_kubernetes = os.environ.get(f"{PREFIX}PORT", "")
    if of_kubernetes.startswith("tcp://"):
        sys.stderr.write(
            f"{PREFIX}PORT={of_kubernetes} is ignored: Kubernetes sets it for a service by the "
            "name phonebook; `enableServiceLinks: false` in the pod's spec leaves it out\n"
        )
        told.setdefault("port", DEFAULT_PORT)
    try:
        return Settings.model_validate(told)
    except ValidationError as error:
        wrong = []
        for one in error.errors():
            name = str(one["loc"][0])
            reason = one["msg"].removeprefix("Value error, ")
            wrong.append(f"{name} ({PREFIX}{name.upper()}): {reason}")
        raise PhonebookError("; ".join(wrong)) from error
