// Which kernel levels the processor and the operating system can run. Compiled for the baseline instruction set, like
// everything outside the kernel files: nothing here may need what it asks for.

#include "CKernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

/// The register states that the operating system saves (XCR0), or 0 when it saves none beyond the baseline.
static uint64_t saved_states(unsigned leaf1_ecx) {
    if (!(leaf1_ecx & bit_OSXSAVE)) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

int gk_isa_is_available(gk_isa isa) {
    enum { states_avx = 0x6, states_avx512 = 0xe6 };
    if (isa == gk_isa_scalar) return 1;
    if (isa == gk_isa_neon) return 0;

    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
    const uint64_t states = saved_states(ecx);
    const int has_fma = (ecx & bit_FMA) != 0 && (ecx & bit_AVX) != 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
    const int has_avx2 = has_fma && (ebx & bit_AVX2) != 0 && (states & states_avx) == states_avx;
    if (isa == gk_isa_avx2) return has_avx2;
    const unsigned needed = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return has_avx2 && (ebx & needed) == needed && (states & states_avx512) == states_avx512;
}

#elif defined(__aarch64__)

int gk_isa_is_available(gk_isa isa) {
    // Advanced SIMD is part of every AArch64 Linux.
    return isa == gk_isa_scalar || isa == gk_isa_neon;
}

#else

int gk_isa_is_available(gk_isa isa) { return isa == gk_isa_scalar; }

#endif
