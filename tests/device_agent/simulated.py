"""A device that is calm only now and then, and whose true latencies the test knows."""

import random
from collections.abc import Mapping
from itertools import pairwise
from typing import Self

from contract.blocks import Head, MBConv, Skip, Stem
from contract.devices import Conditions, DeviceDescription
from contract.errors import DeviceFailed
from contract.networks import Network
from contract.operators import Operator
from contract.runtime import Dtype, Runtime
from contract.sessions import Origin
from device_agent.device import Event, Plan, ProgramFailed, ProgramFile, ProgramTiming
from tests.fakes import DESCRIPTION, OUTPUT, RUNTIME

PROBE_NS = 54_000.0
DISTURBED = 1.3  # how much slower everything is then
STATE_RUNS = 12  # how long a state lasts, in runs
OUTSIDE_EVENTS = 1.06  # a network, over its operators
TRACER = 1.04

DENSE, DEPTHWISE = "Fully Connected (NC, F32) GEMM #1", "Convolution (NHWC, F32) DWConv #1"
INDIRECT, ADD, MOVE = "Convolution (NHWC, F32) IGEMM #1", "Add (ND) #1", "Transpose (ND, X32) #1"
_MEAN, _RESHAPE, CONVERT = "Mean (ND) Reduce2 #1", "Static Reshape (NC) #1", "Convert (NC) #1"
_IN_INT8 = {
    DENSE: "Fully Connected (NC, QS8, QC8W) GEMM #1",
    DEPTHWISE: "Convolution (NHWC, QC8) DWConv #1",
    INDIRECT: "Convolution (NHWC, QC8) IGEMM #1",
    MOVE: "Transpose (ND, X8) #1",
    _MEAN: "Mean (ND) #1",
}


def event_names(operator: Operator, dtype: Dtype = "float32") -> list[str]:
    """What XNNPACK 1.5.1 calls the operator's parts, as traces of whole networks show them."""
    in_int8 = dtype == "int8"
    names = _in_float32(operator, there_and_back=[CONVERT, _RESHAPE, CONVERT, MOVE] * in_int8)
    if not in_int8:
        return names
    match operator.block:
        case Stem():
            names = [CONVERT, *names]
        case Head():
            names = [*names, CONVERT]
    return [_IN_INT8.get(name, name) for name in names]


def _in_float32(operator: Operator, *, there_and_back: list[str]) -> list[str]:
    match operator.block:
        case Stem():
            return [MOVE, INDIRECT]
        case Head():
            return [DENSE, _MEAN, MOVE, _RESHAPE, DENSE]
        case MBConv(groups=1):
            names = [DENSE, DEPTHWISE, DENSE]
        case MBConv():
            shuffle = [MOVE, _RESHAPE, MOVE, *there_and_back]
            names = [INDIRECT, *shuffle, DEPTHWISE, INDIRECT]
        case Skip():
            return []
    return [*names, ADD] if operator.slot.keeps_shape else names


class SimulatedDevice:
    """Runs networks by name; a program file holds its name.

    It is calm for a share of the time, in stretches; otherwise runs and probes take 1.3 times as
    long. Every run has up to `noise` on top. With `level` all runs take so many times longer, and
    no probe tells.
    """

    runtime: Runtime = RUNTIME.evolve(protocol="in_situ")
    origin: Origin = "measured"
    serial = "simulated-1"

    def __init__(
        self,
        operators_us: Mapping[str, float],
        networks: dict[str, Network],
        *,
        seed: int,
        calm_share: float = 0.3,
        noise: float = 0.02,
    ) -> None:
        self.operators_us = operators_us
        self.networks = networks
        self.visits: list[str] = []
        self.gone_after: int | None = None  # so many more visits it leaves
        self.level = 1.0
        self._calm_share = calm_share
        self._noise = noise
        self._generator = random.Random(seed)
        self._left, self._slowness = 0, 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return

    def describe(self) -> DeviceDescription:
        return DESCRIPTION

    def conditions(self) -> Conditions:
        return Conditions(load_1min=None, clock_mhz=None, temperature_c=None)

    def others_cpus(self) -> float:
        return 0.0

    def network_us(self, name: str) -> float:
        """How long the network takes on the calm device."""
        return OUTSIDE_EVENTS * sum(
            self.operators_us[op.key] for op in self.networks[name].operators if not op.is_free
        )

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        if self.gone_after == 0:
            raise DeviceFailed("simulated: gone")
        if self.gone_after is not None:
            self.gone_after -= 1
        name = file.path.read_text()
        self.visits.append(name)
        if name not in self.networks:
            raise ProgramFailed("load_failed", f"cannot load {name}")
        parts = [
            (event, self.operators_us[operator.key] / len(event_names(operator)))
            for operator in self.networks[name].operators
            for event in event_names(operator)
        ]
        factors = [self._slow() for _ in range(plan.min_runs + 1)]
        noise = [self._generator.uniform(1.0, 1.0 + self._noise) for _ in range(plan.min_runs)]
        runs = [
            self.level * max(before, after) * each
            for (before, after), each in zip(pairwise(factors), noise, strict=True)
        ]
        tracer = TRACER if plan.trace else 1.0
        events = tuple(
            Event(name=event, samples_ns=tuple(int(us * run) * 1000 for run in runs))
            for event, us in parts
        )
        return ProgramTiming(
            samples_ns=tuple(round(self.network_us(name) * 1000 * tracer * run) for run in runs),
            probes_ns=tuple(round(PROBE_NS * factor) for factor in factors),
            first_run_ns=1,
            load_ns=1,
            output=OUTPUT.tobytes(),
            delegates=("XnnpackBackend",),
            events=events if plan.trace else (),
        )

    def _slow(self) -> float:
        if self._left == 0:
            calm = self._generator.random() < self._calm_share
            self._left, self._slowness = STATE_RUNS, 1.0 if calm else DISTURBED
        self._left -= 1
        return self._slowness
