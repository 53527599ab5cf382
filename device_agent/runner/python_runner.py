"""The runner through ExecuTorch's Python runtime, for where the native one cannot be built.

Jobs on stdin, answers on stdout, as `protocol.py` has them.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.extension.pybindings import portable_lib

from contract.timings import FailureCode
from device_agent.programs.inputs import pseudo_random
from device_agent.runner.peak_memory import PeakMemory
from device_agent.runner.protocol import Job

HEARTBEAT_NS = 1_000_000_000
PROBE_PASSES = 32

_HOME = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
_PROBE_BUFFER = np.arange(16 * 1024, dtype=np.float32)  # 64 KiB
_MEMORY_BUFFER = np.ones(8 * 1024 * 1024, dtype=np.float32)  # 32 MiB

Answer = dict[str, Any]
Say = Callable[[Answer], None]


class _Failure(Exception):
    """Why a job has no timing."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Watch:
    """Between runs: the job's deadline, and a sign of life about once a second."""

    def __init__(self, say: Say, deadline_ns: int) -> None:
        self._say = say
        self._began_ns = self._spoke_ns = time.perf_counter_ns()
        self._deadline_ns = deadline_ns

    def elapsed_ns(self) -> int:
        return time.perf_counter_ns() - self._began_ns

    def look(self, samples: int) -> None:
        now_ns = time.perf_counter_ns()
        if now_ns - self._began_ns >= self._deadline_ns:
            raise _Failure("timed_out", f"stopped at its deadline, after {samples} timed runs")
        if now_ns - self._spoke_ns >= HEARTBEAT_NS:
            self._say({"alive": True})
            self._spoke_ns = now_ns


def answer(line: str, say: Say) -> Answer:
    """Do the job of that line: load, warm up and time one program."""
    try:
        job = Job.parse(line)
    except ValueError as error:
        return {"error": "run_failed", "message": f"the job line is malformed: {error}"}
    try:
        return _time_program(job, say)
    except _Failure as failure:
        return {"error": failure.code, "message": str(failure)}
    except OSError as error:  # of the file that the events go through
        return {"error": "run_failed", "message": str(error)}


def _time_program(job: Job, say: Say) -> Answer:
    memory = PeakMemory()
    watch = _Watch(say, job.deadline_ns)
    program, method = _load(job)
    load_ns = watch.elapsed_ns()
    timed = _time(method, _image(method, job), job, watch)
    peak_bytes = memory.added_bytes()
    _write_output(method, job.output)
    events = _events(program, warmup_runs=max(1, job.warmup_runs)) if job.trace else []
    found: Answer = {"delegates": _delegates(job.program), "events": events}
    if peak_bytes is not None:
        found["peak_bytes"] = peak_bytes
    return {**timed, "load_ns": load_ns, **found}


def _load(job: Job) -> tuple[Any, Any]:
    try:
        program = portable_lib._load_program(
            job.program,
            enable_etdump=job.trace,
            program_verification=portable_lib.Verification.InternalConsistency,
        )
        return program, program.load_method("forward")
    except RuntimeError as error:
        raise _Failure("load_failed", str(error)) from error


def _image(method: Any, job: Job) -> torch.Tensor:
    meta = method.method_meta()
    for count, which in ((meta.num_inputs(), "input"), (meta.num_outputs(), "output")):
        if count != 1:
            raise _Failure("load_failed", f"the program must have one {which}, it has {count}")
    image = torch.from_numpy(pseudo_random(meta.input_tensor_meta(0).sizes()))
    if job.memory_format == "channels_last":
        return image.contiguous(memory_format=torch.channels_last)
    return image


def _time(method: Any, image: torch.Tensor, job: Job, watch: _Watch) -> Answer:
    samples_ns: list[int] = []
    probes_ns: list[int] = []

    def run_once() -> int:
        watch.look(len(samples_ns))
        probes_ns.append(_probe_ns())
        # Input buffers are planned memory that a run may overwrite: set the input before each
        # run, outside the timed span.
        method.set_inputs([image])
        began_ns = time.perf_counter_ns()
        method.execute()
        return time.perf_counter_ns() - began_ns

    memory_before_ns = _memory_probe_ns()
    try:
        first_run_ns = run_once()
        for _ in range(1, job.warmup_runs):
            run_once()
        probes_ns.clear()
        cpus = _cpus_now()
        timed_ns = 0
        while len(samples_ns) < job.max_runs and (
            len(samples_ns) < job.min_runs or timed_ns < job.min_duration_ns
        ):
            sample_ns = run_once()
            if sample_ns <= 0:
                raise _Failure("bad_samples", f"a run took {sample_ns} ns by the clock")
            samples_ns.append(sample_ns)
            timed_ns += sample_ns
    except RuntimeError as error:
        raise _Failure("run_failed", str(error)) from error
    probes_ns.append(_probe_ns())
    memory_probes_ns = (memory_before_ns, _memory_probe_ns())
    if cpus == _HOME:
        cpus = _cpus_now()
    return {
        "samples_ns": samples_ns,
        "probes_ns": probes_ns,
        "memory_probes_ns": memory_probes_ns,
        "first_run_ns": first_run_ns,
        "cpus": cpus,
    }


def _cpus_now() -> list[int]:
    """As the native runner's affinity.h: those of the first thread that was moved."""
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_getaffinity") or not tasks.exists():
        return []
    for task in tasks.iterdir():
        with suppress(ProcessLookupError):
            cpus = sorted(os.sched_getaffinity(int(task.name)))
            if cpus != _HOME:
                return cpus
    return _HOME


def _probe_ns() -> int:
    """As the native runner's probe.h; about 75 us, most of it in numpy's vectorised maximum."""
    # Untimed: what ran before left its own data in the caches, more or less of it.
    _PROBE_BUFFER.max()
    began_ns = time.perf_counter_ns()
    for _ in range(PROBE_PASSES):
        _PROBE_BUFFER.max()
    return time.perf_counter_ns() - began_ns


def _memory_probe_ns() -> int:
    """As the native runner's probe.h."""
    began_ns = time.perf_counter_ns()
    _MEMORY_BUFFER.max()
    return time.perf_counter_ns() - began_ns


def _write_output(method: Any, path: str) -> None:
    output = method.get_outputs()[0].contiguous()
    try:
        Path(path).write_bytes(output.numpy().tobytes())
    except OSError as error:
        raise _Failure("run_failed", f"writing the output failed: {error}") from error


def _events(program: Any, *, warmup_runs: int) -> list[Answer]:
    """What the delegates logged in each run after the warm-up, from ExecuTorch's dump."""
    from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc

    with tempfile.NamedTemporaryFile() as file:
        program.write_etdump_result_to_file(file.name)
        dump = deserialize_from_etdump_flatcc(Path(file.name).read_bytes())
    runs = [
        [
            (profile.delegate_debug_id_str, profile.end_time - profile.start_time)
            for event in block.events or []
            if (profile := event.profile_event) and profile.delegate_debug_id_str is not None
        ]
        for block in dump.run_data
        if block.name == "Execute"
    ]
    names = [name for name, _ in runs[0]]
    if any([name for name, _ in run] != names for run in runs):
        raise _Failure("bad_samples", "a run logged other delegate events than the first one")
    timed = runs[warmup_runs:]
    return [
        {"name": name, "samples_ns": [run[index][1] for run in timed]}
        for index, name in enumerate(names)
    ]


@lru_cache(maxsize=1024)
def _delegates(path: str) -> list[str]:
    """The backend of each delegate: the Python runtime does not tell, the file does."""
    file = deserialize_pte_binary(Path(path).read_bytes())
    return [delegate.id for delegate in file.program.execution_plan[0].delegates]


def _clock_step_ns() -> int:
    """The smallest difference between two readings of the clock that is not zero."""
    readings = [time.perf_counter_ns() for _ in range(1000)]
    return min(after - before for before, after in pairwise(readings) if after > before)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    threads = parser.parse_args().threads
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(answer: Answer) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    torch.set_num_threads(1)  # torch's own pool only copies tensors; it must not compete
    portable_lib._unsafe_reset_threadpool(threads)
    threads = portable_lib._threadpool_get_thread_count()
    gc.disable()
    step_ns = _clock_step_ns()
    say({"ready": True, "runner": "python", "threads": threads, "clock_step_ns": step_ns})
    with os.fdopen(sys.stdin.fileno(), errors="replace") as jobs:
        for line in jobs:
            say(answer(line.removesuffix("\n"), say))
            gc.collect()


if __name__ == "__main__":
    main()
