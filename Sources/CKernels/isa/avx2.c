// The AVX2 + FMA kernels. A vector of 16 floats is two registers.

#include "../lists/declarations.h"

#if GK_X86

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, avx2)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

// 12 accumulators, 2 registers of B and a broadcast of the 16.
#define GK_GEMM_SYMBOL gk_f32_gemm_6x16
#define GK_GEMM_ROWS 6
#define GK_GEMM_VECTORS 1
#define GK_SCORE_KEYS 6
#define GK_VALUE_COLUMNS 6
#define GK_PAGE_KEYS 4
#define GK_PROBE_CHAINS 6
#define GK_FEW_SCORES 4
#define GK_FEW_VALUES 6

/// All ones in the first `count` lanes of the half that starts at lane `from`.
GK_INLINE __m256i gk_first(size_t count, int from) {
    const __m256i lanes = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(from));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
}

/// The first `count` < 16 floats, then zeros.
GK_INLINE gk_f16 gk_load_part(const float *p, size_t count) {
    gk_f16 x;
    x.lo = (gk_f8)_mm256_maskload_ps(p, gk_first(count, 0));
    x.hi = (gk_f8)_mm256_maskload_ps(p + 8, gk_first(count, 8));
    return x;
}

GK_INLINE void gk_store_part(float *p, gk_f16 x, size_t count) {
    _mm256_maskstore_ps(p, gk_first(count, 0), (__m256)x.lo);
    _mm256_maskstore_ps(p + 8, gk_first(count, 8), (__m256)x.hi);
}

GK_INLINE uint16_t gk_mask_at_least(gk_f16 x, gk_f16 floor) {
    const int low = _mm256_movemask_ps(_mm256_cmp_ps((__m256)x.lo, (__m256)floor.lo, _CMP_GE_OQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps((__m256)x.hi, (__m256)floor.hi, _CMP_GE_OQ));
    return (uint16_t)(low | high << 8);
}

#include "../portable/distances.h"

GK_INLINE gk_u16 gk_look_up_cells(const uint32_t *cells, gk_u16 index) {
    gk_u16 x;
    x.lo = (__typeof__(x.lo))_mm256_i32gather_epi32((const int *)cells, (__m256i)index.lo, 4);
    x.hi = (__typeof__(x.hi))_mm256_i32gather_epi32((const int *)cells, (__m256i)index.hi, 4);
    return x;
}

GK_INLINE void gk_store_bytes(uint8_t *p, gk_u16 x) {
    typedef uint8_t bytes __attribute__((ext_vector_type(16), aligned(1)));
    *(bytes *)p = __builtin_convertvector(x, bytes);
}

typedef struct { const float *time; } gk_time_table;

GK_INLINE gk_time_table gk_time_table_of(const float *time) { return (gk_time_table){time}; }

GK_INLINE gk_f16 gk_look_up_time(const gk_time_table *table, const uint8_t *buckets) {
    gk_f16 x;
    const __m128i bytes = _mm_loadu_si128((const __m128i *)buckets);
    x.lo = (gk_f8)_mm256_i32gather_ps(table->time, _mm256_cvtepu8_epi32(bytes), 4);
    x.hi = (gk_f8)_mm256_i32gather_ps(table->time, _mm256_cvtepu8_epi32(_mm_bsrli_si128(bytes, 8)), 4);
    return x;
}

/// x · sigmoid(x) in bfloat16's precision: relative error at most 2^-11, or absolute 2^-110 where that is more.
GK_INLINE gk_f16 gk_silu_bf16(gk_f16 x) {
    const gk_f16 numerator = gk_raised(x), divisor = gk_exp_of_minus_bf16(numerator) + gk_splat(1.0f);
    gk_f16 y;
    y.lo = (gk_f8)_mm256_rcp_ps((__m256)divisor.lo);
    y.hi = (gk_f8)_mm256_rcp_ps((__m256)divisor.hi);
    return numerator * y;
}

#include "../portable/f32_gemm.h"
#include "../portable/f32_attention.h"
#include "../portable/f32_few.h"
#include "../portable/f32_hstu.h"
#include "../portable/f32_softmax.h"
#include "../portable/f32_rows.h"
#include "../portable/f32_scan.h"
#include "../portable/f32_probe.h"

#define GK_BF16_GEMM_SYMBOL gk_bf16_gemm_6x16
#define GK_BF16_TILE_VECTORS 1
#include "../portable/bf16_widened.h"

#define GK_S8_GEMM_SYMBOL gk_s8_gemm_6x16
#define GK_S8_TILE_VECTORS 1
GK_INLINE gk_i4 gk_multiply_pairs_4(gk_i4 a, gk_i4 b) { return (gk_i4)_mm_madd_epi16((__m128i)a, (__m128i)b); }
GK_INLINE gk_i8 gk_multiply_pairs_8(gk_i8 a, gk_i8 b) { return (gk_i8)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
GK_INLINE gk_i16 gk_multiply_pairs(gk_i16 a, gk_i16 b) {
    gk_i16 x;
    x.lo = gk_multiply_pairs_8(a.lo, b.lo);
    x.hi = gk_multiply_pairs_8(a.hi, b.hi);
    return x;
}
#include "../portable/s8_pairs.h"

#pragma clang attribute pop

#endif
