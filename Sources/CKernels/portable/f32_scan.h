// The catalogue scan's threshold. GK_KERNEL(symbol) adds the level to a name.

uint64_t GK_KERNEL(gk_f32_at_least_64)(const float *scores, float floor) {
    uint64_t bits = 0;
    for (size_t v = 0; v < 4; v++)
        bits |= (uint64_t)gk_mask_at_least(gk_load(scores + 16 * v), gk_splat(floor)) << (16 * v);
    return bits;
}
