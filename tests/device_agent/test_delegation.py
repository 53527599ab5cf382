"""What ran elsewhere than in the runtime's backend is no timing, however right its output."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.blocks import Skip
from contract.operators import Operator
from contract.runtime import MemoryFormat, RuntimeRequest
from contract.slots import Slot
from contract.visits import Layout, Visit
from device_agent.backends.xnnpack.backend import XNNPACK
from device_agent.device import ProgramFailed, ProgramFile, ProgramTiming
from device_agent.devices.host.computer import Host
from device_agent.measuring.checks import check_delegated, check_timing
from device_agent.measuring.protocols.protocol import OPERATOR_PLAN, PlannedProgram
from device_agent.measuring.visit_program import visit_program
from device_agent.programs.cache import ProgramCache
from device_agent.programs.delegation import Delegation
from device_agent.programs.program import Program
from tests.device_agent.conftest import OPERATORS, Programs
from tests.device_agent.portable import export_in_part

STEM, BLOCK, HEAD = OPERATORS
SKIP = Operator(block=Skip(), slot=Slot(in_channels=8, out_channels=8, input_size=8, stride=1))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ProgramCache:
    """With programs of each operator, some of them not wholly delegated."""
    cache = ProgramCache(tmp_path_factory.mktemp("in_part"))
    wanted = [program(BLOCK), program(HEAD), program(SKIP), program(HEAD, "channels_last")]
    assert [done.error for done in cache.export(wanted, export_in_part)] == [None] * len(wanted)
    return cache


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(RuntimeRequest(protocol="isolated")) as host:
        yield host


def program(operator: Operator, memory_format: MemoryFormat = "contiguous") -> Program:
    return Program(content=operator, dtype="float32", memory_format=memory_format)


def visit(of: Program, host: Host, cache: ProgramCache) -> tuple[Layout, Visit]:
    planned = PlannedProgram(program=of, plans=(OPERATOR_PLAN,))
    return visit_program(planned, cache.file(of), host, number=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "outside"),
    [(BLOCK, "aten::convolution.out, aten::relu.out, "), (HEAD, "aten::mean.out")],
    ids=["all of it", "a part"],
)
def test_a_real_program_of_portable_kernels_is_refused_though_its_output_is_right(
    host: Host, cache: ProgramCache, operator: Operator, outside: str
) -> None:
    with pytest.raises(ProgramFailed, match="outside of xnnpack ran: ") as failed:
        visit(program(operator), host, cache)
    assert failed.value.code == "not_delegated"
    assert outside in failed.value.message


@pytest.mark.slow
def test_a_program_that_computes_nothing_needs_no_delegate(
    host: Host, cache: ProgramCache
) -> None:
    assert Delegation.of(cache.file(program(SKIP))) == Delegation(delegates=())
    layout, _ = visit(program(SKIP), host, cache)
    assert layout.operators == (SKIP.key,)


@pytest.mark.slow
def test_a_head_may_leave_the_copy_of_a_channels_last_mean_to_others(cache: ProgramCache) -> None:
    head = program(HEAD, "channels_last")
    assert Delegation.of(cache.file(head)).outside == tuple(XNNPACK.leaves)
    request = RuntimeRequest(memory_format="channels_last", protocol="isolated")
    with Host(request) as host:
        layout, _ = visit(head, host, cache)
        assert layout.operators == (HEAD.key,)


def test_whole_networks_are_one_delegate(programs: Programs) -> None:
    whole = Delegation(delegates=("XnnpackBackend",))
    assert [Delegation.of(file) for file in programs.networks.values()] == [whole, whole]


def test_a_runner_that_found_other_delegates_ran_another_program(
    host: Host, programs: Programs
) -> None:
    timing = host.time_program(programs.operator, OPERATOR_PLAN)
    check_timing(timing, programs.operator, host.runtime)
    for delegates in ((), ("XnnpackBackend",) * 2, ("CoreMLBackend",)):
        with pytest.raises(ProgramFailed, match="the runner found delegates") as failed:
            check_delegated(replace(timing, delegates=delegates), programs.operator, XNNPACK)
        assert failed.value.code == "not_delegated"


def test_a_delegate_of_another_backend_is_not_this_one(tmp_path: Path) -> None:
    file = ProgramFile(tmp_path / "program.pte")
    other = Delegation(delegates=("CoreMLBackend",))
    file.delegation.write_text(other.model_dump_json())
    timing = ProgramTiming(
        samples_ns=(1,),
        probes_ns=(1, 1),
        first_run_ns=1,
        load_ns=1,
        output=b"",
        delegates=other.delegates,
        events=(),
    )
    with pytest.raises(ProgramFailed, match="CoreMLBackend ran, not xnnpack"):
        check_delegated(timing, file, XNNPACK)
