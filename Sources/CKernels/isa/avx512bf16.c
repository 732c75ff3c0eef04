// The AVX-512 BF16 kernels: products of bfloat16. The rest of the level comes from AVX-512 and AVX-512 VNNI.

#include "../lists/declarations.h"

#if GK_X86

#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), apply_to = function)

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, avx512bf16)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

#include "avx512_vectors.h"
#include "../portable/gemm_tile.h"

GK_INLINE gk_f4 gk_dot_pairs_4(gk_f4 sum, gk_u4 a, gk_u4 b) {
    return (gk_f4)_mm_dpbf16_ps((__m128)sum, (__m128bh)a, (__m128bh)b);
}
GK_INLINE gk_f8 gk_dot_pairs_8(gk_f8 sum, gk_u8 a, gk_u8 b) {
    return (gk_f8)_mm256_dpbf16_ps((__m256)sum, (__m256bh)a, (__m256bh)b);
}
GK_INLINE gk_f16 gk_dot_pairs_16(gk_f16 sum, gk_u16 a, gk_u16 b) {
    return (gk_f16)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

/// Rounds to bfloat16, to nearest with ties to even, and stores 16 halves. NaN stays NaN; magnitudes below 2^-126
/// become 0.
GK_INLINE void gk_store_bf16(uint16_t *p, gk_f16 x) {
    _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh((__m512)x));
}

#define GK_BF16_GEMM_SYMBOL gk_bf16_gemm_6x64
#include "../portable/bf16_pairs.h"

/// Rounds both to bfloat16, lane by lane, with `low` in the lower halves.
GK_INLINE gk_u16 gk_pair_bf16(gk_f16 low, gk_f16 high) {
    const __m512i interleave = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1,
        16, 0);
    const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    return (gk_u16)_mm512_permutexvar_epi16(interleave, halves);
}

// More simultaneous sums than the product instruction's latency in cycles.
#define GK_BF16_KEYS 8
#include "../portable/bf16_attention.h"

#pragma clang attribute pop

#endif
