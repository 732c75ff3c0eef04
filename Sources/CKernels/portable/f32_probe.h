// The processor's peak: chains of fused multiply-adds in registers, enough of them to hide the latency of one. The
// including file sets GK_PROBE_CHAINS, a divisor of 24 that fits its registers.

float GK_KERNEL(gk_f32_probe_16)(size_t rounds) {
    // Every chain tends to 2; none overflows or becomes subnormal.
    const gk_f16 half = gk_splat(0.5f), one = gk_splat(1.0f);
    gk_f16 chain[GK_PROBE_CHAINS];
    GK_FULL_UNROLL for (int i = 0; i < GK_PROBE_CHAINS; i++) chain[i] = gk_splat((float)i);
    for (size_t round = 0; round < rounds; round++)
        GK_FULL_UNROLL for (int step = 0; step < 24 / GK_PROBE_CHAINS; step++)
            GK_FULL_UNROLL for (int i = 0; i < GK_PROBE_CHAINS; i++) chain[i] = gk_fma(chain[i], half, one);
    gk_f16 sum = chain[0];
    for (int i = 1; i < GK_PROBE_CHAINS; i++) sum += chain[i];
    return gk_greatest(sum);
}
