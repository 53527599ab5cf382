"""A claim on a phone, kept on the phone itself: one agent measures there, whatever computer it
runs on and whatever way it reaches the phone.

Alive is a claim whose holder lives, a process on the phone that ends with its agent's connection,
and whose agent said a word not too long ago: a computer that is gone from the network leaves the
connection open for hours.
"""

import time
from uuid import uuid4

from device_agent.device_lock import agent_name
from device_agent.devices.android.adb.errors import Claimed, PhoneLost, StorageFull
from device_agent.devices.android.adb.transport import Connection, Remote
from device_agent.devices.android.storage import ROOT

LIMIT_S = 20.0
SILENT_S = 3600  # longer than an agent exports programs, during which it says nothing
RENEW_S = 10.0
_FILE = f"{ROOT}/claim"
_WORD = f"{ROOT}/claim-last-word"
_HOLDER = f"{ROOT}/claim-holder"

# The file appears whole or not at all: `set -C` lets one of two agents create it.
_TAKE = f"""
now=$(date +%s)
if read token pid since name < {_FILE}; then
    word=$(cat {_WORD})
    if ls -ld /proc/$pid/cwd | grep -qF -- "-> {_HOLDER}" &&
        test "$name" != NAME && test $((now - ${{word:-0}})) -lt {SILENT_S}
    then
        echo "held $((now - since)) $((now - ${{word:-0}})) $name"
        exit
    fi
fi
rm -f {_FILE}
set -C
if echo "TOKEN PID $now NAME" > {_FILE}; then
    set +C
    echo $now > {_WORD}
    echo taken
elif test -s {_FILE}; then
    echo raced
else
    rm -f {_FILE}
    echo unwritable
fi
"""
_RENEW = f"""
read token rest < {_FILE}
test "$token" = TOKEN && date +%s > {_WORD} && echo ours
"""
_GIVE_BACK = f"""
read token rest < {_FILE}
test "$token" = TOKEN && rm -f {_FILE} {_WORD}
"""


class Claim:
    """This agent's, over one connection. It ends with the connection, if it is not given back.

    Attributes:
        holder: the id of the process on the phone that shows that this agent lives.
    """

    def __init__(self, connection: Connection) -> None:
        """Take the phone.

        Raises:
            Claimed: another agent has it.
            StorageFull: it does not keep the claim.
        """
        self._token = uuid4().hex
        self._renew_at = 0.0
        if connection.run(f"mkdir -p {_HOLDER}", timeout_s=LIMIT_S).code != 0:
            raise _unwritable(connection.address, _HOLDER)
        self._remote: Remote = connection.start(f"cd {_HOLDER} && exec sh -c 'echo $$; exec cat'")
        self.holder = _first_number(connection.address, self._remote)
        said = _quietly(connection, self._with_names(_TAKE))
        if said != "taken":
            self._remote.kill()
            if said.startswith(("held", "raced")):
                raise _claimed(connection.address, said)
            raise _unwritable(connection.address, _FILE)

    def renew(self, connection: Connection) -> None:
        """Say now and then that this agent lives.

        Raises:
            Claimed: another agent took the phone, since this one was silent for too long.
        """
        if time.monotonic() < self._renew_at:
            return
        if not self.is_ours(connection):
            raise Claimed(
                f"{connection.address}: another agent took the phone meanwhile. What was measured "
                "is kept: when that one has ended, run the same command to go on"
            )
        self._renew_at = time.monotonic() + RENEW_S

    def is_ours(self, connection: Connection) -> bool:
        """Whether no other agent took the phone; a connection may be another by now."""
        return _quietly(connection, self._with_names(_RENEW)) == "ours"

    def give_back(self, connection: Connection) -> None:
        _quietly(connection, self._with_names(_GIVE_BACK))

    def _with_names(self, script: str) -> str:
        with_ids = script.replace("PID", str(self.holder)).replace("TOKEN", self._token)
        return with_ids.replace("NAME", agent_name())


def _quietly(connection: Connection, script: str) -> str:
    return connection.run(f"{{ {script}\n}} 2>/dev/null", timeout_s=LIMIT_S).stdout.strip()


def _first_number(address: str, remote: Remote) -> int:
    said = remote.receive(LIMIT_S) or b""
    if not said.strip().isdigit():
        raise PhoneLost(
            f"{address}: its shell says {said[:100]!r} where a process id was asked for"
        )
    return int(said)


def _unwritable(address: str, path: str) -> StorageFull:
    return StorageFull(
        f"{address}: {path} cannot be written: the phone's storage is full, or not open to adb. "
        "Free some of it; what was measured is kept, and the same command goes on"
    )


def _claimed(address: str, said: str) -> Claimed:
    word, _, rest = said.partition(" ")
    if word == "raced":
        return Claimed(
            f"{address}: another agent took the phone at this moment; two at once would disturb "
            "each other"
        )
    since_s, silent_s, name = rest.split(" ", 2)
    return Claimed(
        f"{address}: the agent {name} has the phone for {int(since_s) // 60} minutes, and said "
        f"its last word {int(silent_s)} s ago; two at once would disturb each other. Stop that "
        f"one. Where its computer is gone, the phone is free {SILENT_S // 60} minutes after its "
        f"last word, or once somebody deletes {_FILE} on it"
    )
