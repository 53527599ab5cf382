#!/usr/bin/env bash
# The tests in an emulated arm64 phone, and the packages they need: on Debian 12, as root.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in adb cmake g++-aarch64-linux-gnu ninja-build proot qemu-user-static; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

# The phone's shell is an arm64 package of which one file is wanted: it is fetched with lists of
# its own, so that this computer does not become one for arm64 packages too.
busybox=build/android/busybox
if [ ! -x "$busybox" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch/lists/partial" "$(dirname "$busybox")"
    chmod -R a+rwX "$scratch"
    (
        cd "$scratch"
        arm64=(-o APT::Architectures::=amd64 -o APT::Architectures::=arm64
            -o Dir::State::lists="$scratch/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
        apt-get "${arm64[@]}" update -qq
        apt-get "${arm64[@]}" download -qq busybox-static:arm64
        dpkg -x busybox-static_*_arm64.deb .
    )
    install "$scratch/bin/busybox" "$busybox"
fi

make test-android
