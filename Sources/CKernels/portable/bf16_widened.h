// The matrix product over bfloat16 weights, for levels that cannot multiply bfloat16. A vector of weight pairs is
// widened, exactly, to two vectors of float32. A is rounded to bfloat16 but stored as float32, so that it can be
// broadcast from memory. Weights take half the bytes of float32, with the same number of multiply-adds. The including
// file sets GK_BF16_TILE_VECTORS, the number of panel vectors that fit its registers.

#define GK_DEFINE_WIDENED_STEP(name, f, u)                                                                            \
    GK_INLINE f name(const float *row, u panel, f sum) {                                                             \
        sum = __builtin_elementwise_fma((f)row[0], __builtin_bit_cast(f, panel << 16), sum);                         \
        return __builtin_elementwise_fma((f)row[1], __builtin_bit_cast(f, panel & 0xffff0000u), sum);                \
    }
GK_DEFINE_WIDENED_STEP(gk_widened_step_4, gk_f4, gk_u4)
GK_DEFINE_WIDENED_STEP(gk_widened_step_8, gk_f8, gk_u8)
GK_DEFINE_WIDENED_STEP(gk_widened_step_16, gk_f16, gk_u16)

GK_DEFINE_TILE(gk_widened_tile_4, gk_f4, float, gk_u4, float, uint32_t, 4, 2, gk_widened_step_4)
GK_DEFINE_TILE(gk_widened_tile_8, gk_f8, float, gk_u8, float, uint32_t, 8, 2, gk_widened_step_8)
GK_DEFINE_TILE(gk_widened_tile_16, gk_f16, float, gk_u16, float, uint32_t, 16, 2, gk_widened_step_16)

void GK_KERNEL(GK_BF16_GEMM_SYMBOL)(
    size_t rows, size_t width, size_t depth, const void *words, size_t a_stride, const uint32_t *b, const float *init,
    float *c, size_t c_stride) {
    const float *a = words;
    GK_GEMM_BODY(gk_widened_tile_4, gk_widened_tile_8, gk_widened_tile_16, GK_BF16_TILE_VECTORS)
}

/// Rounds to bfloat16 and back to float32, 16 floats at a time.
void GK_KERNEL(gk_bf16_round_1x16)(
    size_t rows, size_t columns, const float *x, size_t x_stride, void *words, size_t word_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        float *out = (float *)words + r * word_stride;
        for (size_t j = 0; j < whole; j += 16)
            gk_store(out + j, __builtin_bit_cast(gk_f16, gk_bf16_bits(gk_load(in + j)) << 16));
        if (rest)
            gk_store(out + whole, __builtin_bit_cast(gk_f16, gk_bf16_bits(gk_load_part(in + whole, rest)) << 16));
    }
}
