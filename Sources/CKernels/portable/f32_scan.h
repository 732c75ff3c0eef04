// The catalogue scan's thresholds. GK_KERNEL(symbol) adds the level to a name.

uint64_t GK_KERNEL(gk_f32_at_least_64)(const float *scores, float floor) {
    uint64_t bits = 0;
    for (size_t v = 0; v < 4; v++)
        bits |= (uint64_t)gk_mask_at_least(gk_load(scores + 16 * v), gk_splat(floor)) << (16 * v);
    return bits;
}

uint64_t GK_KERNEL(gk_f32_bounds_64)(
    const int32_t *high, const int32_t *low, const float *scales, const gk_bound *bound, float floor) {
    uint64_t bits = 0;
    for (size_t v = 0; v < 4; v++) {
        const gk_f16 h = __builtin_convertvector(*(const gk_i16_memory *)(high + 16 * v), gk_f16);
        const gk_f16 l = __builtin_convertvector(*(const gk_i16_memory *)(low + 16 * v), gk_f16);
        const gk_f16 most = gk_fma(h, gk_splat(bound->high), gk_fma(l, gk_splat(bound->low), gk_splat(bound->margin)));
        const gk_f16 score = gk_fma(most, gk_load(scales + 16 * v), gk_splat(GK_BOUND_LEAST));
        bits |= (uint64_t)gk_mask_at_least(score, gk_splat(floor)) << (16 * v);
    }
    return bits;
}
