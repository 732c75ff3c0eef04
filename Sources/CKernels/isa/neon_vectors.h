// The parts of the kernel bodies that clang's vector extensions cannot express, in Advanced SIMD, for every Arm level.

#ifndef GENREC_KERNEL_NEON_VECTORS_H
#define GENREC_KERNEL_NEON_VECTORS_H

// 24 accumulators, 4 registers of B and a broadcast of the 32.
#define GK_GEMM_ROWS 6
#define GK_GEMM_VECTORS 1
#define GK_SCORE_KEYS 6
#define GK_VALUE_COLUMNS 6
#define GK_PAGE_KEYS 4
#define GK_PROBE_CHAINS 6
#define GK_FEW_SCORES 6
#define GK_FEW_VALUES 6

/// The first `count` < 16 floats, then zeros.
GK_INLINE gk_f16 gk_load_part(const float *p, size_t count) {
    float lanes[16] = {0};
    for (size_t i = 0; i < count; i++) lanes[i] = p[i];
    return gk_load(lanes);
}

GK_INLINE void gk_store_part(float *p, gk_f16 x, size_t count) {
    float lanes[16];
    gk_store(lanes, x);
    for (size_t i = 0; i < count; i++) p[i] = lanes[i];
}

GK_INLINE uint16_t gk_mask_at_least(gk_f16 x, gk_f16 floor) {
    const gk_i16 weights = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    return (uint16_t)__builtin_reduce_add((x >= floor) & weights);
}

#include "../portable/distances.h"

GK_INLINE gk_u16 gk_look_up_cells(const uint32_t *cells, gk_u16 index) {
    gk_u16 x;
    for (int i = 0; i < 16; i++) x[i] = cells[index[i]];
    return x;
}

GK_INLINE void gk_store_bytes(uint8_t *p, gk_u16 x) {
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)x[i];
}

typedef struct { const float *time; } gk_time_table;

GK_INLINE gk_time_table gk_time_table_of(const float *time) { return (gk_time_table){time}; }

GK_INLINE gk_f16 gk_look_up_time(const gk_time_table *table, const uint8_t *buckets) {
    gk_f16 x;
    for (int i = 0; i < 16; i++) x[i] = table->time[buckets[i]];
    return x;
}

/// x · sigmoid(x) in bfloat16's precision: relative error at most 2^-11, or absolute 2^-110 where that is more.
GK_INLINE gk_f16 gk_silu_bf16(gk_f16 x) {
    const gk_f16 numerator = gk_raised(x);
    return numerator / (gk_exp_of_minus_bf16(numerator) + gk_splat(1.0f));
}

#endif
