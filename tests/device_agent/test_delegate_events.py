"""The native tracer, against delegates that log what no real one should."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from device_agent.runner.build import SOURCES

# Reads runs from its arguments, each a text whose letters are the names of the events it logs.
PROGRAM = r"""
#include <cstdio>
#include "delegate_events.h"

int main(int count, char** runs) {
  phonebook::DelegateEvents tracer;
  executorch::runtime::EventTracer& logger = tracer;
  try {
    for (int run = 1; run < count; ++run) {
      tracer.begin_run();
      for (const char* name = runs[run]; *name; ++name) {
        const char text[] = {*name, 0};
        logger.log_profiling_delegate(text, -1, 1000, 1000 + 10 * run);
      }
      tracer.end_run();
      if (run == 1) tracer.forget_samples();
    }
  } catch (const phonebook::Failure& failure) {
    std::printf("%s: %s", failure.code, failure.what());
    return 0;
  }
  for (const phonebook::Event& event : tracer.events()) {
    std::printf("%s %s ", event.name.c_str(), phonebook::list(event.samples_ns).c_str());
  }
}
"""


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracer")
    source, program = folder / "tracer.cpp", folder / "tracer"
    source.write_text(PROGRAM)
    spec = find_spec("executorch")
    assert spec is not None
    executorch = Path(next(iter(spec.submodule_search_locations or ())))
    include = executorch / "include"
    command: list[str | Path] = [
        *("c++", "-std=c++17", "-DC10_USING_CUSTOM_GENERATED_MACROS", f"-I{SOURCES}"),
        *("-isystem", include, "-isystem", include / "executorch/runtime/core/portable_type/c10"),
        *(source, "-o", program, f"-L{executorch / 'lib'}", "-lexecutorch"),
        f"-Wl,-rpath,{executorch / 'lib'}",
    ]
    subprocess.run(command, check=True, timeout=120)
    return program


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (["ab", "ab", "ab"], "a [20, 30] b [20, 30] "),
        (["aa", "aa"], "a [20] a [20] "),
        (["", ""], ""),
        (["ab", "a"], "bad_samples: after 1 of 2 delegate events"),
        (["ab", "abc"], "bad_samples: after 2 of 2 delegate events"),
        (["ab", "ac"], "bad_samples: after 1 of 2 delegate events"),
    ],
)
def test_runs_that_log_other_events_are_refused(tracer: Path, runs: list[str], said: str) -> None:
    done = subprocess.run([tracer, *runs], capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout.startswith(said)
    assert bool(said) == bool(done.stdout)
