"""The app's shell: without an SDK of Apple's, it is checked against declarations like theirs."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.ios

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 240.0

# In the folder of the package, with the modules that its unit tests were built with. The
# declarations say what the shell uses; whether Apple's are so, nothing here shows.
CHECK = """
modules=/src/build/ios/apple
rm -rf $modules && mkdir -p $modules
for name in Combine UIKit SwiftUI; do
    swiftc -emit-module -parse-as-library -module-name $name -I $modules \
        -o $modules/$name.swiftmodule /src/tests/ios/apple/$name.swift
done
swiftc -frontend -parse App/*.swift
swiftc -typecheck -parse-as-library -swift-version 5 -strict-concurrency=complete \
    -warnings-as-errors -I $modules -I /src/build/ios/swift/debug/Modules \
    -Xcc -fmodule-map-file=Sources/CPhonebookRunner/module.modulemap App/*.swift
"""


def test_the_shell_parses_and_fits_the_package() -> None:
    swift = REPOSITORY / ".ci" / "swift.sh"
    done = subprocess.run(
        [str(swift), "run", "bash", "-euc", CHECK],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
