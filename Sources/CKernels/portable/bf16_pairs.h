// The matrix product in bfloat16, for levels that multiply bfloat16 pairs. The including file's gk_dot_pairs_4, _8 and
// _16 add a · b of each lane's pair to a float32. GK_BF16_GEMM_SYMBOL names the kernel.

#define GK_PAIR_STEP_4(row, panel, sum) gk_dot_pairs_4(sum, (gk_u4)(row)[0], panel)
#define GK_PAIR_STEP_8(row, panel, sum) gk_dot_pairs_8(sum, (gk_u8)(row)[0], panel)
#define GK_PAIR_STEP_16(row, panel, sum) gk_dot_pairs_16(sum, (gk_u16)(row)[0], panel)

GK_DEFINE_TILE(gk_pair_tile_4, gk_f4, float, gk_u4, uint32_t, uint32_t, 4, 1, GK_PAIR_STEP_4)
GK_DEFINE_TILE(gk_pair_tile_8, gk_f8, float, gk_u8, uint32_t, uint32_t, 8, 1, GK_PAIR_STEP_8)
GK_DEFINE_TILE(gk_pair_tile_16, gk_f16, float, gk_u16, uint32_t, uint32_t, 16, 1, GK_PAIR_STEP_16)

void GK_KERNEL(GK_BF16_GEMM_SYMBOL)(
    size_t rows, size_t width, size_t depth, const void *words, size_t a_stride, const uint32_t *b, const float *init,
    float *c, size_t c_stride) {
    const uint32_t *a = words;
    GK_GEMM_BODY(gk_pair_tile_4, gk_pair_tile_8, gk_pair_tile_16, GK_GEMM_VECTORS)
}

/// Rounds to bfloat16, 16 floats at a time; a pair makes a word.
void GK_KERNEL(gk_bf16_round_1x16)(
    size_t rows, size_t columns, const float *x, size_t x_stride, void *words, size_t word_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        uint16_t *out = (uint16_t *)((uint32_t *)words + r * word_stride);
        for (size_t j = 0; j < whole; j += 16) gk_store_bf16(out + j, gk_load(in + j));
        if (rest) gk_store_bf16(out + whole, gk_load_part(in + whole, rest));
    }
}
