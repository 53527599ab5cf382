#!/usr/bin/env bash
# The iPhone app's tests without a phone, and what they need: on Debian 12, as root.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in cmake g++ mmdebstrap; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi
.ci/swift.sh up

make test-ios
