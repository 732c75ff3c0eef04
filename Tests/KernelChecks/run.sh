#!/usr/bin/env bash
# Compiles the CPU kernels and their checks for AArch64 and runs them under qemu-user, or natively with --native.
# Needs clang; for AArch64 also Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
flags=(-I "$root/Sources/CKernels/include" -O2 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno)
sources=("$root"/Sources/CKernels/{drivers,isa,scalar}/*.c "$root/Tests/KernelChecks/check.c")
if [ "${1:-}" = --native ]; then
    clang "${flags[@]}" "${sources[@]}" -lm -o "$build/check"
    "$build/check"
    exit
fi
for tool in clang aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
for source in "${sources[@]}"; do
    clang --target=aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include "${flags[@]}" -c "$source" \
        -o "$build/$(basename "${source%.c}").o"
done
aarch64-linux-gnu-gcc -static "$build"/*.o -lm -o "$build/check"
# Every level that the emulator supports, then a processor without either extension.
qemu-aarch64 -cpu max "$build/check"
qemu-aarch64 -cpu cortex-a72 "$build/check"
