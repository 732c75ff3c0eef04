// The Arm kernels with the dot product of bytes (FEAT_DotProd). The rest of the level comes from Advanced SIMD.

#include "../lists/declarations.h"

#if GK_ARM

#include <arm_neon.h>

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, neondotprod)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

#include "neon_vectors.h"
#include "../portable/epilogue.h"
#include "../portable/gemm_tile.h"

GK_INLINE void gk_store_quads(uint32_t *words, gk_i16 x) {
    typedef int8_t bytes __attribute__((ext_vector_type(16), aligned(4)));
    *(bytes *)words = __builtin_convertvector(x, bytes);
}

GK_INLINE gk_i4 gk_dot_quads_4(gk_i4 sum, gk_u4 a, gk_u4 b) {
    return (gk_i4)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b);
}
GK_INLINE gk_i8 gk_dot_quads_8(gk_i8 sum, gk_u8 a, gk_u8 b) {
    gk_i8 x;
    x.lo = gk_dot_quads_4(sum.lo, a.lo, b.lo);
    x.hi = gk_dot_quads_4(sum.hi, a.hi, b.hi);
    return x;
}
GK_INLINE gk_i16 gk_dot_quads_16(gk_i16 sum, gk_u16 a, gk_u16 b) {
    gk_i16 x;
    x.lo = gk_dot_quads_8(sum.lo, a.lo, b.lo);
    x.hi = gk_dot_quads_8(sum.hi, a.hi, b.hi);
    return x;
}

#define GK_S8_GEMM_SYMBOL gk_s8_gemm_6x16
#include "../portable/s8_quads.h"

#pragma clang attribute pop

#endif
