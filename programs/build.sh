#!/bin/sh
# Rebuilds the committed modules of programs/ and examples/, or native versions of programs/.
#
#   programs/build.sh              all .wasm files, beside their sources
#   programs/build.sh native DIR   native programs into DIR, to compare digests with
#   programs/build.sh digests      prints digests.txt anew, from native builds
#
# The WebAssembly build needs Debian's clang-19, lld-19, wasi-libc, libclang-rt-19-dev-wasm32, libc++-19-dev-wasm32 and
# libc++abi-19-dev-wasm32 (packages of these names), wasm-opt (of npm's package binaryen) and Rust's target wasm32-wasip1; the others
# need any compilers of C11 and C++20 as cc and c++, and rustc. CLANG, CLANGXX, WASM_OPT, SYSROOT, CC, CXX and RUSTC override the defaults.
set -eu

cd "$(dirname "$0")"
# `simd-scalar` is `simd.c` once more, built without vector instructions.
PROGRAMS="hash cipher matrix sort parser triad transform simd simd-scalar"
# No fused multiply-add: it would round once where the sources round twice.
# No errno from sqrt: lets it be the machine's instruction.
C_FLAGS="-std=c11 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno"
CXX_FLAGS="-std=c++20 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno"
RUST_FLAGS="--edition 2024 -Dwarnings -C panic=abort -C lto=fat -C codegen-units=1"

source_of() {
    echo "${1%-scalar}.c"
}

# Vector instructions for the one program that is about them.
features_of() {
    case $1 in
    simd) echo "-msimd128" ;;
    esac
}

# c_wasm SOURCE MODULE LEVEL [OPTION]
c_wasm() {
    # Debug sections are left out, the name section stays: backtraces read function names from it.
    "${CLANG:-clang-19}" --target=wasm32-wasi --sysroot="${SYSROOT:-/usr}" $C_FLAGS "-O$3" ${4:-} \
        -Wl,--strip-debug -o "$2" "$1"
    # The linker marks what it writes as executable, which a module is not for most hosts.
    chmod 644 "$2"
}

# exceptions_wasm PROGRAM COMPILER [ARGUMENT...]: two modules, with the instructions of today and with the older ones. Clang 19 makes
# the older ones only, so the others are made of them.
exceptions_wasm() {
    program=$1
    shift
    "$@" --target=wasm32-wasi --sysroot="${SYSROOT:-/usr}" -O2 -Wl,--strip-debug -o "$program-legacy.wasm"
    "${WASM_OPT:-wasm-opt}" -g --enable-exception-handling --enable-reference-types --enable-multivalue \
        --enable-bulk-memory --emit-exnref "$program-legacy.wasm" -o "$program-exnref.wasm"
    chmod 644 "$program-legacy.wasm" "$program-exnref.wasm"
}

# rust_wasm SOURCE MODULE LEVEL
rust_wasm() {
    "${RUSTC:-rustc}" --target wasm32-wasip1 $RUST_FLAGS -C "opt-level=$3" -C strip=debuginfo \
        -o "$2" "$1"
    chmod 644 "$2"
}

c_native() {
    "${CC:-cc}" $C_FLAGS -O2 -o "$2" "$1" -lm
}

cxx_native() {
    # One clause takes a copy on purpose.
    "${CXX:-c++}" $CXX_FLAGS -Wno-catch-value -O2 -o "$2" "$1" -lm
}

rust_native() {
    "${RUSTC:-rustc}" $RUST_FLAGS -C opt-level=2 -o "$2" "$1"
}

# The sources of the corpus, without what they share.
corpus() {
    for source in corpus/*.c corpus/*.rs; do
        [ "$source" = corpus/common.rs ] || echo "$source"
    done
}

# native DIR
native() {
    mkdir -p "$1/corpus" "$1/exceptions"
    cxx_native exceptions/unwind.cpp "$1/exceptions/unwind"
    c_native exceptions/jumps.c "$1/exceptions/jumps"
    for name in $PROGRAMS; do
        c_native "$(source_of "$name")" "$1/$name"
    done
    for source in $(corpus); do
        case $source in
        *.c) c_native "$source" "$1/${source%.c}" ;;
        *.rs) rust_native "$source" "$1/${source%.rs}" ;;
        esac
    done
}

# The number of rounds that a source does without an argument.
standard_rounds() {
    sed -n 's/.*STANDARD_ROUNDS\(: u32\)\{0,1\} = \([0-9]*\).*/\2/p' "$1"
}

# print_digests NAME SOURCE
print_digests() {
    for rounds in 1 "$(standard_rounds "$2")"; do
        echo "$1 $rounds $("$directory/$1" "$rounds")"
    done
}

case "${1:-wasm}" in
wasm)
    for name in $PROGRAMS; do
        c_wasm "$(source_of "$name")" "$name.wasm" 2 "$(features_of "$name")"
    done
    for source in $(corpus); do
        case $source in
        *.c)
            c_wasm "$source" "${source%.c}-speed.wasm" 3
            c_wasm "$source" "${source%.c}-size.wasm" s
            ;;
        *.rs)
            rust_wasm "$source" "${source%.rs}-speed.wasm" 3
            rust_wasm "$source" "${source%.rs}-size.wasm" s
            ;;
        esac
    done
    exceptions_wasm exceptions/unwind "${CLANGXX:-clang++-19}" $CXX_FLAGS -fwasm-exceptions \
        exceptions/unwind.cpp exceptions/runtime.cpp
    exceptions_wasm exceptions/jumps "${CLANG:-clang-19}" $C_FLAGS -mexception-handling -mllvm -wasm-enable-sjlj \
        exceptions/jumps.c exceptions/jumps_runtime.c
    for source in ../examples/*.c; do
        c_wasm "$source" "${source%.c}.wasm" 2
    done
    ;;
native)
    directory=${2:?usage: programs/build.sh native DIR}
    # The caller's directory, not ours, is what a relative DIR starts from.
    case $directory in
    /*) ;;
    *) directory=$OLDPWD/$directory ;;
    esac
    native "$directory"
    ;;
digests)
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
    native "$directory"
    echo "# program, rounds, digest. Printed by: programs/build.sh digests"
    for name in $PROGRAMS; do
        print_digests "$name" "$(source_of "$name")"
    done
    for source in $(corpus); do
        print_digests "${source%.*}" "$source"
    done
    print_digests exceptions/unwind exceptions/unwind.cpp
    print_digests exceptions/jumps exceptions/jumps.c
    ;;
*)
    echo "usage: programs/build.sh [native DIR | digests]" >&2
    exit 2
    ;;
esac
