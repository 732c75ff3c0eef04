// The parts of the kernel bodies that clang's vector extensions cannot express, for every level with AVX-512. Included
// within the level's target pragma.

#ifndef GENREC_KERNEL_AVX512_VECTORS_H
#define GENREC_KERNEL_AVX512_VECTORS_H

// A shuffle of two vectors is one instruction.
#define GK_WIDE_SHUFFLES 1
// 24 accumulators, 4 registers of B and a broadcast of the 32.
#define GK_GEMM_ROWS 6
#define GK_GEMM_VECTORS 4
// One row for each general register available as a pointer.
#define GK_SCORE_KEYS 8
#define GK_VALUE_COLUMNS 28
#define GK_PAGE_KEYS 8
#define GK_PROBE_CHAINS 24
#define GK_FEW_SCORES 16
#define GK_FEW_VALUES 24

GK_INLINE __mmask16 gk_first(size_t count) { return (__mmask16)((1u << count) - 1); }

/// The first `count` < 16 floats, then zeros.
GK_INLINE gk_f16 gk_load_part(const float *p, size_t count) {
    return (gk_f16)_mm512_maskz_loadu_ps(gk_first(count), p);
}

GK_INLINE void gk_store_part(float *p, gk_f16 x, size_t count) {
    _mm512_mask_storeu_ps(p, gk_first(count), (__m512)x);
}

GK_INLINE uint16_t gk_mask_at_least(gk_f16 x, gk_f16 floor) {
    return _mm512_cmp_ps_mask((__m512)x, (__m512)floor, _CMP_GE_OQ);
}

/// Bits of max(1, |query - key|) as float32; the difference is taken without overflow and stays below 2^63.
GK_INLINE gk_u16 gk_distances(const int64_t *queries, int64_t key) {
    const __m512i k = _mm512_set1_epi64(key), one = _mm512_set1_epi64(1), most = _mm512_set1_epi64(INT64_MAX);
    __m256 half[2];
    for (int i = 0; i < 2; i++) {
        const __m512i q = _mm512_loadu_si512(queries + 8 * i);
        const __m512i d = _mm512_sub_epi64(_mm512_max_epi64(q, k), _mm512_min_epi64(q, k));
        half[i] = _mm512_cvtepu64_ps(_mm512_min_epu64(_mm512_max_epu64(d, one), most));
    }
    return (gk_u16)_mm512_insertf32x8(_mm512_castps256_ps512(half[0]), half[1], 1);
}

GK_INLINE gk_u16 gk_look_up_cells(const uint32_t *cells, gk_u16 index) {
    return (gk_u16)_mm512_i32gather_epi32((__m512i)index, cells, 4);
}

GK_INLINE void gk_store_bytes(uint8_t *p, gk_u16 x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)x));
}

/// The padded time bias in registers: 160 entries.
typedef struct { __m512 part[10]; } gk_time_table;

GK_INLINE gk_time_table gk_time_table_of(const float *time) {
    gk_time_table table;
    for (int i = 0; i < 10; i++) table.part[i] = _mm512_loadu_ps(time + 16 * i);
    return table;
}

GK_INLINE gk_f16 gk_look_up_time(const gk_time_table *table, const uint8_t *buckets) {
    const __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)buckets));
    // A permutation of two registers reads the low five bits; bits 5, 6 and 7 select among the five results.
    const __mmask16 bit5 = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
    const __mmask16 bit6 = _mm512_test_epi32_mask(index, _mm512_set1_epi32(64));
    const __mmask16 bit7 = _mm512_test_epi32_mask(index, _mm512_set1_epi32(128));
    const __m512 a = _mm512_permutex2var_ps(table->part[0], index, table->part[1]);
    const __m512 b = _mm512_permutex2var_ps(table->part[2], index, table->part[3]);
    const __m512 c = _mm512_permutex2var_ps(table->part[4], index, table->part[5]);
    const __m512 d = _mm512_permutex2var_ps(table->part[6], index, table->part[7]);
    const __m512 e = _mm512_permutex2var_ps(table->part[8], index, table->part[9]);
    const __m512 low = _mm512_mask_blend_ps(bit5, a, b), high = _mm512_mask_blend_ps(bit5, c, d);
    return (gk_f16)_mm512_mask_blend_ps(bit7, _mm512_mask_blend_ps(bit6, low, high), e);
}

/// x · sigmoid(x) in bfloat16's precision: relative error at most 2^-11, or absolute 2^-110 where that is more.
GK_INLINE gk_f16 gk_silu_bf16(gk_f16 x) {
    // e^-x = 2^floor(y) · 2^f with f in 0 ..< 1, where 2^f is its minimax cubic (relative error 2^-13.7). `scalef`
    // saturates at 0 and infinity, and the reciprocal of infinity is 0.
    const __m512 y = _mm512_mul_ps((__m512)x, _mm512_set1_ps(-0x1.715476p+0f));
    const gk_f16 f = (gk_f16)_mm512_reduce_ps(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    gk_f16 p = gk_fma(f, gk_splat(0x1.3f96a4p-4f), gk_splat(0x1.cefc4cp-3f));
    p = gk_fma(p, f, gk_splat(0x1.64444cp-1f));
    p = gk_fma(p, f, gk_splat(0x1.fff632p-1f));
    const __m512 e = _mm512_scalef_ps((__m512)p, y);
    return x * (gk_f16)_mm512_rcp14_ps(_mm512_add_ps(e, _mm512_set1_ps(1.0f)));
}

#endif
