"""The runner through ExecuTorch's Python runtime: JSON jobs on stdin, JSON answers on stdout.

First line out: {"ready": true}. A job names a program and how long to run it; its answer is
{"samples_ns": [...], "first_run_ns": N, "load_ns": N}, or {"error": CODE, "message": TEXT}.
The output of the last run goes to the job's `output` file, raw.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import torch
from executorch.extension.pybindings import portable_lib

from device_agent.inputs import pseudo_random


def run(job: dict[str, Any], memory_format: torch.memory_format) -> dict[str, Any]:
    """Load, warm up and time one program, as `Device.time_program` promises."""
    began = time.perf_counter_ns()
    try:
        program = portable_lib._load_program(job["program"])
        method = program.load_method("forward")
    except RuntimeError as error:
        return {"error": "load_failed", "message": str(error)}
    load_ns = time.perf_counter_ns() - began
    try:
        shape = method.method_meta().input_tensor_meta(0).sizes()
        image_BCHW = torch.from_numpy(pseudo_random(shape)).contiguous(memory_format=memory_format)
        timing = _time(method, [image_BCHW], job)
        output = method.get_outputs()[0].contiguous()
    except RuntimeError as error:
        return {"error": "run_failed", "message": str(error)}
    Path(job["output"]).write_bytes(output.numpy().tobytes())
    return {"load_ns": load_ns, **timing}


def _time(method: Any, inputs: list[torch.Tensor], job: dict[str, Any]) -> dict[str, Any]:
    first_run_ns = _run_once(method, inputs)
    for _ in range(job["warmup_runs"] - 1):
        _run_once(method, inputs)
    samples_ns: list[int] = []
    elapsed_ns = 0
    while len(samples_ns) < job["max_runs"] and (
        len(samples_ns) < job["min_runs"] or elapsed_ns < job["min_duration_ns"]
    ):
        samples_ns.append(_run_once(method, inputs))
        elapsed_ns += samples_ns[-1]
    return {"samples_ns": samples_ns, "first_run_ns": first_run_ns}


def _run_once(method: Any, inputs: list[torch.Tensor]) -> int:
    # Input buffers are planned memory that a run may overwrite: set them before each run,
    # outside the timed span.
    method.set_inputs(inputs)
    began = time.perf_counter_ns()
    method.execute()
    return time.perf_counter_ns() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-format", choices=("contiguous", "channels_last"), required=True)
    arguments = parser.parse_args()
    memory_format = {
        "contiguous": torch.contiguous_format,
        "channels_last": torch.channels_last,
    }[arguments.memory_format]
    torch.set_num_threads(1)  # torch's own pool only copies tensors; it must not compete
    portable_lib._unsafe_reset_threadpool(arguments.threads)
    gc.disable()
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may write between answers
    _say(answers, {"ready": True})
    for line in sys.stdin:
        _say(answers, run(json.loads(line), memory_format))
        gc.collect()


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
