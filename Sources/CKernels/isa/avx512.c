// The AVX-512 kernels (F, BW, DQ, VL).

#include "../lists/declarations.h"

#if GK_X86

#include <immintrin.h>

#define GK_TARGET "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"
#pragma clang attribute push(__attribute__((target(GK_TARGET))), apply_to = function)

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, avx512)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

#define GK_GEMM_SYMBOL gk_f32_gemm_6x64
#include "avx512_vectors.h"

#include "../portable/f32_gemm.h"
#include "../portable/f32_attention.h"
#include "../portable/f32_few.h"
#include "../portable/f32_hstu.h"
#include "../portable/f32_softmax.h"
#include "../portable/f32_rows.h"
#include "../portable/f32_scan.h"
#include "../portable/f32_probe.h"

// A panel's vectors are read two at a time, because each becomes two of float32.
#define GK_BF16_GEMM_SYMBOL gk_bf16_gemm_6x64
#define GK_BF16_TILE_VECTORS 2
#include "../portable/bf16_widened.h"

#define GK_S8_GEMM_SYMBOL gk_s8_gemm_6x64
#define GK_S8_TILE_VECTORS 2
GK_INLINE gk_i16 gk_multiply_pairs(gk_i16 a, gk_i16 b) { return (gk_i16)_mm512_madd_epi16((__m512i)a, (__m512i)b); }
GK_INLINE gk_i8 gk_multiply_pairs_8(gk_i8 a, gk_i8 b) { return (gk_i8)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
GK_INLINE gk_i4 gk_multiply_pairs_4(gk_i4 a, gk_i4 b) { return (gk_i4)_mm_madd_epi16((__m128i)a, (__m128i)b); }
#include "../portable/s8_pairs.h"

#pragma clang attribute pop

#endif
