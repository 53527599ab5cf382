#!/usr/bin/env bash
# The app core on x86-64 Linux, with the runner and ExecuTorch that this computer's own runner has.
#   build-linux.sh          makes build/ios/phonebook-bench, a program that plays the app
#   build-linux.sh test     runs the package's unit tests
# Needs `.ci/swift.sh up`, cmake, g++ and the environment in .venv. Builds only what has changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$PWD/build/ios
swift=$PWD/build/swift
options=(--scratch-path /src/build/ios/swift -Xlinker -L/src/build/ios/runner
    -Xlinker --as-needed -Xlinker -lphonebook-core -Xlinker --allow-shlib-undefined)

# The computer's own compiler makes the runner, as ever; Swift only links it.
executorch=$(.venv/bin/python -c 'import executorch; print(next(iter(executorch.__path__)))')
mkdir -p "$build"
if ! {
    cmake -S device_agent/runner -B "$build/runner" -DBUILD_SHARED_LIBS=ON \
        -DCMAKE_PREFIX_PATH="$executorch" && cmake --build "$build/runner" --target phonebook-core
} >"$build/runner.log" 2>&1; then
    cat "$build/runner.log" >&2
    exit 1
fi

case ${1:-program} in
    test) .ci/swift.sh run swift test "${options[@]}" ;;
    program)
        .ci/swift.sh run swift build --configuration release --product phonebook-bench \
            "${options[@]}" >"$build/swift.log" 2>&1 || { cat "$build/swift.log" >&2; exit 1; }
        # It runs on this computer, but with the C library that it was linked with.
        libraries=$swift/usr/lib/x86_64-linux-gnu:$swift/usr/libexec/swift/lib/swift/linux
        cat >"$build/phonebook-bench.new" <<END
#!/bin/sh
exec "$swift/lib64/ld-linux-x86-64.so.2" --library-path \
"$libraries:$build/runner:$executorch/lib" "$build/swift/release/phonebook-bench" "\$@"
END
        chmod +x "$build/phonebook-bench.new"
        mv "$build/phonebook-bench.new" "$build/phonebook-bench"
        echo "$build/phonebook-bench" ;;
    *) sed -n '2,5s/^# \{0,2\}//p' "$0" >&2; exit 2 ;;
esac
