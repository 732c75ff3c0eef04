// The AVX-512 VNNI kernels: the int8 product. The rest of the level comes from AVX-512.

#include "../lists/declarations.h"

#if GK_X86

#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, avx512vnni)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

#include "avx512_vectors.h"
#include "../portable/epilogue.h"
#include "../portable/gemm_tile.h"

// The instruction reads the bytes of A as unsigned. They are stored 128 higher (gk_s8_zero), and the sums start
// correspondingly lower.
GK_INLINE void gk_store_quads(uint32_t *words, gk_i16 x) {
    _mm_storeu_si128((__m128i *)words, _mm512_cvtepi32_epi8((__m512i)(x + 128)));
}

GK_INLINE gk_i4 gk_dot_quads_4(gk_i4 sum, gk_u4 a, gk_u4 b) {
    return (gk_i4)_mm_dpbusd_epi32((__m128i)sum, (__m128i)a, (__m128i)b);
}
GK_INLINE gk_i8 gk_dot_quads_8(gk_i8 sum, gk_u8 a, gk_u8 b) {
    return (gk_i8)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
}
GK_INLINE gk_i16 gk_dot_quads_16(gk_i16 sum, gk_u16 a, gk_u16 b) {
    return (gk_i16)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}

#define GK_S8_GEMM_SYMBOL gk_s8_gemm_6x64
#include "../portable/s8_quads.h"

#pragma clang attribute pop

#endif
