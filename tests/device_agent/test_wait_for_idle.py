"""A busy device: waited for, told of, and refused in the end."""

import subprocess
import sys
import time

import psutil
import pytest

from contract.errors import DeviceFailed
from device_agent.devices.host.others_work import OthersWork
from device_agent.measuring.wait_for_idle import IdleWait
from tests.fakes import FakeDevice


class BusyDevice(FakeDevice):
    """Two cores, and a list of what others do with them."""

    def __init__(self, others: list[float | None]) -> None:
        super().__init__({})
        self._others = others

    def others_cpus(self) -> float | None:
        return self._others.pop(0) if len(self._others) > 1 else self._others[0]


@pytest.mark.parametrize("others", [None, 0.0, 0.7])
def test_a_device_with_room_is_not_waited_for(
    others: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    IdleWait(BusyDevice([others]), patience_s=0.0).wait()
    assert capsys.readouterr().err == ""


def test_a_busy_device_is_waited_for_and_the_screen_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    IdleWait(BusyDevice([1.9, 1.2, 0.1]), patience_s=30.0, look_s=0.01).wait()
    said = " ".join(capsys.readouterr().err.split())
    assert "other programs use 1.9 of 2 CPUs" in said
    assert said.endswith("going on")


def test_a_device_that_stays_busy_is_refused_with_what_to_do() -> None:
    idle = IdleWait(BusyDevice([1.9]), patience_s=0.05, look_s=0.01)
    with pytest.raises(DeviceFailed, match=r"use 1\.9 of 2 CPUs.*run the same command to go on"):
        idle.wait()


@pytest.mark.slow
def test_what_the_agent_and_its_child_do_is_not_others_work() -> None:
    without, with_child = OthersWork(), OthersWork()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            without.cpus([child.pid])
            with_child.cpus([])
            began, before_s = time.monotonic(), cpu_s(child.pid)
            while cpu_s(child.pid) - before_s < 1.5:  # the agent works too, however long it takes
                pass
            childs = with_child.cpus([]) - without.cpus([child.pid])
            used = (cpu_s(child.pid) - before_s) / (time.monotonic() - began)
        finally:
            child.kill()
    # Of a computer that is busy with other things, the child gets a part alone.
    assert childs == pytest.approx(used, rel=0.4)


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
