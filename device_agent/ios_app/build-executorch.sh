#!/usr/bin/env bash
# ExecuTorch for iOS 16, on a Mac with Xcode and CMake: the prebuilt packages want iOS 17.
#   build-executorch.sh [CHECKOUT]     isolated measurements and in-situ ones
#   TRACER=OFF build-executorch.sh     without the event tracer: isolated ones alone
# CHECKOUT, build/ios/executorch unless given, is cloned if it is not there. What the Xcode project
# needs to know is written to build/ios/ExecuTorch.xcconfig.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^ *"executorch==\([0-9.]*\)",$/\1/p' pyproject.toml)
tracer=${TRACER:-ON}
mkdir -p build/ios
checkout=${1:-$PWD/build/ios/executorch}
if [ ! -d "$checkout" ]; then
    git clone --branch "v$version" --depth 1 --recurse-submodules --shallow-submodules \
        https://github.com/pytorch/executorch "$checkout"
fi
checkout=$(cd "$checkout" && pwd)
# Its headers are found as <executorch/...>: the folder must have that name.
[ "$(basename "$checkout")" = executorch ] ||
    { echo "the checkout must be a folder named executorch, not $checkout" >&2; exit 2; }
found=$(cat "$checkout/version.txt")
[ "${found%%[a-z+]*}" = "$version" ] ||
    { echo "$checkout is ExecuTorch $found; programs are exported by $version" >&2; exit 2; }

libraries=$checkout/cmake-out/phonebook-ios16
cd "$checkout"
[ -d .venv ] || python3 -m venv .venv
. .venv/bin/activate
./install_requirements.sh
# Only what programs of Phonebook need, and of XNNPACK's options those of other devices' builds.
cmake -S . -B "$libraries" --preset ios -DDEPLOYMENT_TARGET=16.0 \
    -DCMAKE_ARCHIVE_OUTPUT_DIRECTORY="$libraries" \
    -DEXECUTORCH_BUILD_DEVTOOLS="$tracer" -DEXECUTORCH_ENABLE_EVENT_TRACER="$tracer" \
    -DEXECUTORCH_XNNPACK_ENABLE_WEIGHT_CACHE=OFF \
    -DEXECUTORCH_BUILD_COREML=OFF -DEXECUTORCH_BUILD_MPS=OFF \
    -DEXECUTORCH_BUILD_EXTENSION_APPLE=OFF -DEXECUTORCH_BUILD_EXTENSION_IMAGE=OFF \
    -DEXECUTORCH_BUILD_EXTENSION_LLM=OFF -DEXECUTORCH_BUILD_EXTENSION_LLM_APPLE=OFF \
    -DEXECUTORCH_BUILD_EXTENSION_LLM_RUNNER=OFF -DEXECUTORCH_BUILD_KERNELS_LLM=OFF \
    -DEXECUTORCH_BUILD_KERNELS_TORCHAO=OFF
cmake --build "$libraries" --config Release
minimum=$(otool -l "$libraries/Release/libxnnpack_backend.a" |
    awk '$1 == "minos" && !found { print $2; found = 1 }')
[ "$minimum" = 16.0 ] || { echo "built for iOS $minimum, not 16.0" >&2; exit 1; }

cd - >/dev/null
cat >build/ios/ExecuTorch.xcconfig <<END
EXECUTORCH = $checkout
EXECUTORCH_LIBRARIES = $libraries/Release
EXECUTORCH_VERSION = $version
EXECUTORCH_TRACER = $([ "$tracer" = ON ] && echo ET_EVENT_TRACER_ENABLED=1)
END
echo "built; now open device_agent/ios_app/App/PhonebookBench.xcodeproj"
