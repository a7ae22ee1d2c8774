#!/bin/sh
# Rebuilds the committed modules of programs/ and examples/, or native versions of programs/.
#
#   programs/build.sh              all .wasm files, beside their sources
#   programs/build.sh native DIR   native programs into DIR, to compare digests with
#   programs/build.sh digests      prints digests.txt anew, from native builds
#
# The WebAssembly build needs Debian's clang-19, lld-19, wasi-libc and libclang-rt-19-dev-wasm32
# (packages of these names); the others need any C11 compiler as cc. CLANG, SYSROOT and CC
# override the defaults.
set -eu

cd "$(dirname "$0")"
PROGRAMS="hash cipher matrix sort parser"
# No fused multiply-add: it would round once where the sources round twice.
# No errno from sqrt: lets it be the machine's instruction.
FLAGS="-std=c11 -O2 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno"

build_wasm() {
    # Debug sections are left out, the name section stays: backtraces read function names from it.
    "${CLANG:-clang-19}" --target=wasm32-wasi --sysroot="${SYSROOT:-/usr}" $FLAGS \
        -Wl,--strip-debug -o "$2" "$1"
    # The linker marks what it writes as executable, which a module is not for most hosts.
    chmod 644 "$2"
}

build_native() {
    "${CC:-cc}" $FLAGS -o "$2" "$1" -lm
}

case "${1:-wasm}" in
wasm)
    for name in $PROGRAMS; do
        build_wasm "$name.c" "$name.wasm"
    done
    for source in ../examples/*.c; do
        build_wasm "$source" "${source%.c}.wasm"
    done
    ;;
native)
    directory=${2:?usage: programs/build.sh native DIR}
    # The caller's directory, not ours, is what a relative DIR starts from.
    case $directory in
    /*) ;;
    *) directory=$OLDPWD/$directory ;;
    esac
    mkdir -p "$directory"
    for name in $PROGRAMS; do
        build_native "$name.c" "$directory/$name"
    done
    ;;
digests)
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    echo "# program, rounds, digest. Printed by: programs/build.sh digests"
    for name in $PROGRAMS; do
        build_native "$name.c" "$directory/$name"
        standard=$(sed -n 's/.*STANDARD_ROUNDS = \([0-9]*\).*/\1/p' "$name.c")
        for rounds in 1 "$standard"; do
            echo "$name $rounds $("$directory/$name" "$rounds")"
        done
    done
    ;;
*)
    echo "usage: programs/build.sh [native DIR | digests]" >&2
    exit 2
    ;;
esac
