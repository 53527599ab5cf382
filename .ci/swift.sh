#!/usr/bin/env bash
# Swift for Debian 12, which has none: Debian 13's, with what it needs, in a folder of its own.
#   .ci/swift.sh up           makes build/swift unless it is there: 580 MB come over the network,
#                             1.7 GB stay; needs mmdebstrap, and wants root
#   .ci/swift.sh run CMD...   runs CMD there, with this checkout as /src, from its iPhone app
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
root=$repository/build/swift
packages=swiftlang,libc6-dev,libstdc++-14-dev
# Debuggers, editors' servers and static libraries take much room, and nothing here uses them.
unused=(
    '/usr/share/doc/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/man/*'
    '/usr/libexec/swift/bin/*lldb*' '/usr/libexec/swift/bin/clangd' '/usr/libexec/swift/bin/docc'
    '/usr/libexec/swift/bin/sourcekit-lsp' '/usr/libexec/swift/bin/swift-format'
    '/usr/libexec/swift/lib/liblldb*' '/usr/libexec/swift/lib/libsourcekitd*'
    '/usr/libexec/swift/lib/swift_static/*' '/usr/libexec/swift/share/docc/*'
    '/usr/libexec/gcc/*/lto1'
)

up() {
    local kept="$packages ${unused[*]}" scratch mirror options=() path
    [ "$(cat "$root/.made-of" 2>/dev/null)" = "$kept" ] && return
    # From where this computer has its own packages.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -n 1)
    for path in "${unused[@]}"; do options+=("--dpkgopt=path-exclude=$path"); done
    mkdir -p "$repository/build"
    scratch=$(mktemp -d "$repository/build/swift.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    mmdebstrap --quiet --variant=minbase --include="$packages" "${options[@]}" \
        trixie "$scratch" ${mirror:+"$mirror"}
    mkdir "$scratch/src"
    printf '%s' "$kept" >"$scratch/.made-of"
    # The last step: who finds the folder finds it whole.
    rm -rf "$root"
    mv "$scratch" "$root"
    trap - EXIT
}

run() {
    [ -f "$root/.made-of" ] || { echo "there is no Swift here yet: .ci/swift.sh up" >&2; exit 2; }
    # The mounts end with the command.
    exec unshare --mount bash -c '
        mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" && mount --bind "$1" "$0/src"
        root=$0; shift
        exec chroot "$root" bash -c "cd /src/device_agent/ios_app && exec \"\$@\"" bash "$@"
    ' "$root" "$repository" "$@"
}

case ${1:-} in
    up) up ;;
    run) shift; run "$@" ;;
    *) sed -n '2,5s/^# \{0,2\}//p' "$0" >&2; exit 2 ;;
esac
