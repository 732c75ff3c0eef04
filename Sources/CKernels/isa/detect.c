// Detects the kernel levels that the processor and the operating system can run. Compiled for the baseline instruction
// set, like everything outside the kernel files, so that the detection runs anywhere.

#include "CKernels.h"

#if defined(__x86_64__)

#include <cpuid.h>

/// The register states that the operating system saves (XCR0), or 0 if it saves none beyond the baseline.
static uint64_t saved_states(unsigned leaf1_ecx) {
    if (!(leaf1_ecx & bit_OSXSAVE)) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

int gk_isa_is_available(gk_isa isa) {
    enum { states_avx = 0x6, states_avx512 = 0xe6 };
    if (isa == gk_isa_scalar) return 1;
    if (isa == gk_isa_neon || isa == gk_isa_neondotprod || isa == gk_isa_neonbf16) return 0;

    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
    const uint64_t states = saved_states(ecx);
    const int has_fma = (ecx & bit_FMA) != 0 && (ecx & bit_AVX) != 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
    const int has_avx2 = has_fma && (ebx & bit_AVX2) != 0 && (states & states_avx) == states_avx;
    if (isa == gk_isa_avx2) return has_avx2;
    const unsigned needed = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!has_avx2 || (ebx & needed) != needed || (states & states_avx512) != states_avx512) return 0;
    if (isa == gk_isa_avx512) return 1;
    const int has_vnni = (ecx & bit_AVX512VNNI) != 0;
    if (isa == gk_isa_avx512vnni) return has_vnni;
    if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) return 0;
    return isa == gk_isa_avx512bf16 && has_vnni && (eax & bit_AVX512BF16) != 0;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

int gk_isa_is_available(gk_isa isa) {
    // Bits of the kernel's interface (arch/arm64/include/uapi/asm/hwcap.h), which some C libraries do not define.
    enum { hwcap_dot_product = 1 << 20, hwcap2_bf16 = 1 << 14 };
    const int has_dot_product = (getauxval(AT_HWCAP) & hwcap_dot_product) != 0;
    switch (isa) {
    // Advanced SIMD is part of every AArch64 Linux.
    case gk_isa_scalar:
    case gk_isa_neon: return 1;
    case gk_isa_neondotprod: return has_dot_product;
    case gk_isa_neonbf16: return has_dot_product && (getauxval(AT_HWCAP2) & hwcap2_bf16) != 0;
    default: return 0;
    }
}

#else

int gk_isa_is_available(gk_isa isa) { return isa == gk_isa_scalar; }

#endif
