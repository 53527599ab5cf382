"""`python -m device_agent.bundle`: build the runner for phones, or take one that was built."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main
from device_agent.devices.android.bundle import adopt, build
from device_agent.places import cache_dir

app = command_line("python -m device_agent.bundle", "Build the runner for arm64 Android phones.")


@app.default
def run(
    *,
    runner: Annotated[
        Path | None,
        Parameter(help="Take this one, built with the Android NDK, in place of building one."),
    ] = None,
) -> None:
    """Build the runner's bundle unless that was done before, and print where it is."""
    cache = cache_dir()
    bundle = build(cache) if runner is None else adopt(runner, cache)
    size = sum((bundle.path / file).stat().st_size for file in bundle.files)
    sys.stdout.write(
        f"{bundle.path}\n"
        f"  {len(bundle.files)} files, {size / 1e6:.1f} MB; as one file: {bundle.archive}\n"
        f"  sha256 {bundle.sha256}\n"
        f"  started by {' '.join(bundle.start)}\n"
    )


if __name__ == "__main__":
    main(app)
