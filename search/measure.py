"""Asks the device agent, as a program of its own, to measure a whole network."""

import subprocess
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from contract.errors import DeviceFailed, PhonebookError
from contract.estimates import Estimate

AGENT = (sys.executable, "-m", "device_agent.network")
TIMEOUT_S = 3600.0


class Measurement(Estimate):
    """The agent's answer: one network's figures."""

    program: str  # the exported file


class MeasurementFailed(PhonebookError):
    """The agent explained on the screen what went wrong, and ended with `exit_code`."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def measure(arguments: Sequence[str], *, agent: Sequence[str] = AGENT) -> Measurement:
    """Run the agent with `arguments`; its log goes to the screen.

    Raises:
        MeasurementFailed: it ended with another code than 0.
        DeviceFailed: it did not end, was killed, or answered something else.
    """
    command = [*agent, *arguments, "--json"]
    shown = " ".join(command[1:])
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceFailed(f"`python {shown}` did not end within {TIMEOUT_S:g} s") from error
    if done.returncode < 0:
        raise DeviceFailed(f"`python {shown}` was killed by signal {-done.returncode}")
    if done.returncode > 0:
        raise MeasurementFailed(
            f"the network was not measured: `python {shown}` ended with {done.returncode}; "
            "its message is above",
            exit_code=done.returncode,
        )
    return parse_measurement(done.stdout)


def parse_measurement(output: str) -> Measurement:
    """The measurement in the last line of the agent's output.

    Raises:
        DeviceFailed: that line is something else.
    """
    last_line = (output.strip().splitlines() or [""])[-1]
    try:
        return Measurement.model_validate_json(last_line)
    except ValidationError as error:
        raise DeviceFailed(
            f"expected a measurement in the agent's last line, got {last_line[:200]!r}; "
            "are both parts of the same version?"
        ) from error
