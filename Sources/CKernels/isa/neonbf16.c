// The Arm kernels with products of bfloat16 (FEAT_BF16). The rest of the level comes from Advanced SIMD and the dot
// product.

#include "../lists/declarations.h"

#if GK_ARM

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("bf16,dotprod"))), apply_to = function)

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, neonbf16)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

#include "neon_vectors.h"
#include "../portable/gemm_tile.h"

GK_INLINE gk_f4 gk_dot_pairs_4(gk_f4 sum, gk_u4 a, gk_u4 b) {
    return (gk_f4)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)a, (bfloat16x8_t)b);
}
GK_INLINE gk_f8 gk_dot_pairs_8(gk_f8 sum, gk_u8 a, gk_u8 b) {
    gk_f8 x;
    x.lo = gk_dot_pairs_4(sum.lo, a.lo, b.lo);
    x.hi = gk_dot_pairs_4(sum.hi, a.hi, b.hi);
    return x;
}
GK_INLINE gk_f16 gk_dot_pairs_16(gk_f16 sum, gk_u16 a, gk_u16 b) {
    gk_f16 x;
    x.lo = gk_dot_pairs_8(sum.lo, a.lo, b.lo);
    x.hi = gk_dot_pairs_8(sum.hi, a.hi, b.hi);
    return x;
}

/// Rounds to bfloat16, to nearest with ties to even, and stores 16 halves. NaN stays NaN.
GK_INLINE void gk_store_bf16(uint16_t *p, gk_f16 x) {
    typedef uint16_t halves __attribute__((ext_vector_type(16), aligned(2)));
    *(halves *)p = __builtin_convertvector(gk_bf16_bits(x), halves);
}

#define GK_BF16_GEMM_SYMBOL gk_bf16_gemm_6x16
#include "../portable/bf16_pairs.h"

/// Rounds both to bfloat16, lane by lane, with `low` in the lower halves.
GK_INLINE gk_u16 gk_pair_bf16(gk_f16 low, gk_f16 high) { return gk_bf16_bits(low) | gk_bf16_bits(high) << 16; }

#define GK_BF16_KEYS 4
#include "../portable/bf16_attention.h"

#pragma clang attribute pop

#endif
