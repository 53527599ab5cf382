"""`python -m server.devices`: rename devices, choose their default runtimes, retire them."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from contract.cli import command_line, main
from contract.devices import NewName
from contract.errors import PhonebookError
from contract.runtime import runtime_of
from contract.times import stamp
from server.http.clock import utc_now
from server.keeper import (
    KEEPER,
    DatabaseUrl,
    Why,
    changing,
    given_reason,
    kept_database,
    say,
)
from server.roles import Caller

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from contract.retired import Retired

    TurnDevice = Callable[[Session, str, str, Caller, datetime], Retired]
    TurnUnit = Callable[[Session, str, str, str, Caller, datetime], Retired]

Name = Annotated[str, Parameter(help="The device's name.")]
Unit = Annotated[str | None, Parameter(help="Of its units that one alone, by its serial number.")]

app = command_line(
    "python -m server.devices",
    "Look after the devices that the server knows. Nothing that was measured is deleted, and the "
    "server may go on serving meanwhile.",
)


@app.command(name="list")
def list_all(*, database_url: DatabaseUrl = None) -> None:
    """List the devices: their default runtimes, and what is retired."""
    from server.database.engine import reading
    from server.store import devices, retirements

    with kept_database(database_url) as engine, reading(engine)() as session:
        found = devices.devices(session)
        retired = retirements.retired(session)
    since = {each.device: each.retired_at for each in retired.devices}
    for device in found:
        default = next((each.key for each in device.runtimes if each.is_default), None)
        gone = f"; retired {stamp(since[device.name])}" if device.name in since else ""
        say(f"{device.name}: {default or 'nothing measured yet'}{gone}")
    for unit in retired.units:
        say(f"{unit.device}, unit {unit.serial}: retired {stamp(unit.retired_at)}")


@app.command
def rename(
    name: Name,
    new_name: Annotated[str, Parameter(help="What it is to be called.")],
    /,
    *,
    reason: Why,
    database_url: DatabaseUrl = None,
) -> None:
    """Call a device otherwise: all that is its goes with it, and the old name leads to it."""
    from server.store import renames

    try:
        new = NewName(name=new_name, reason=given_reason(reason))
    except ValidationError as error:
        raise PhonebookError(
            f"{new_name!r} cannot name a device; use at most 64 small letters, digits, dots, "
            "dashes and underscores, a letter or digit first"
        ) from error
    with changing(database_url) as session:
        renames.rename(session, name, new, KEEPER, utc_now())
    say(
        f"device {name} is called {new_name} now; agents that serve it have to be started again "
        f"with `--name {new_name}`"
    )


@app.command
def default_runtime(
    name: Name,
    runtime: Annotated[str, Parameter(help="The runtime's key, as `GET /devices` lists it.")],
    /,
    *,
    database_url: DatabaseUrl = None,
) -> None:
    """Choose the table that is served when no runtime is asked for."""
    from server.store import devices

    chosen = runtime_of(runtime)
    with changing(database_url) as session:
        devices.set_default_runtime(session, name, chosen, KEEPER, utc_now())
    say(f"device {name}: {chosen.key} is served where no runtime is asked for")


@app.command
def retire(
    name: Name, /, *, reason: Why, unit: Unit = None, database_url: DatabaseUrl = None
) -> None:
    """Let a device, or one unit of it, take no more jobs. Its tables are served as before.

    A device's jobs that have not ended are cancelled; a unit ends the one that it is at.
    """
    from server.store.retirements import retire_device, retire_unit

    turned = _turn(retire_device, retire_unit, name, unit, reason, database_url)
    say(f"{turned} is retired and takes no jobs")


@app.command
def bring_back(
    name: Name, /, *, reason: Why, unit: Unit = None, database_url: DatabaseUrl = None
) -> None:
    """Let a retired device, or unit of it, take jobs again."""
    from server.store.retirements import bring_back_device, bring_back_unit

    turned = _turn(bring_back_device, bring_back_unit, name, unit, reason, database_url)
    say(f"{turned} takes jobs")


def _turn(
    turn_device: "TurnDevice",
    turn_unit: "TurnUnit",
    name: str,
    unit: str | None,
    reason: str,
    database_url: str | None,
) -> str:
    """Retire the device or that unit of it, or bring it back, and give what to call it."""
    why = given_reason(reason)
    with changing(database_url) as session:
        if unit is None:
            turn_device(session, name, why, KEEPER, utc_now())
            return f"device {name}"
        turn_unit(session, name, unit, why, KEEPER, utc_now())
        return f"unit {unit} of {name}"


if __name__ == "__main__":
    main(app)
