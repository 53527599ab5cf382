"""Building the native runner: once, whole, and with a reason where it cannot be."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run

import pytest

from contract.places import HOME_VARIABLE
from device_agent.runner.build import NativeRunnerUnavailable, native_runner


@pytest.mark.slow
def test_two_builders_at_once_get_one_program_without_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    command = [sys.executable, "-m", "device_agent.runner.build"]
    with ThreadPoolExecutor() as pool:
        builds = [
            pool.submit(run, command, capture_output=True, text=True, timeout=120, check=True)
            for _ in range(2)
        ]
    (program,) = {Path(build.result().stdout.strip()) for build in builds}
    usage = run([str(program)], capture_output=True, text=True, timeout=10, check=False)
    assert (usage.returncode, usage.stderr[:7]) == (2, "usage: ")
    assert "warning:" not in (program.parent / "build.log").read_text()
    assert sorted(path.name for path in program.parent.iterdir()) == [
        *("build.lock", "build.log", program.name)
    ]

    built = program.stat().st_mtime_ns
    assert native_runner() == program
    assert program.stat().st_mtime_ns == built


def test_without_tools_the_reason_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        NativeRunnerUnavailable, match=r"needs cmake .* apt-get install cmake g\+\+"
    ):
        native_runner()


def test_a_failed_build_names_its_log_and_leaves_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / "c++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho this compiler cannot compile >&2; exit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=":")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    with pytest.raises(NativeRunnerUnavailable, match=r"words are in .*/build\.log$") as failed:
        native_runner()
    log = Path(str(failed.value).split(" in ")[-1])
    assert "this compiler cannot compile" in log.read_text()
    assert sorted(path.name for path in log.parent.iterdir()) == ["build.lock", "build.log"]
