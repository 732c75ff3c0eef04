// Dynamic quantisation of rows and the epilogue of the int8 product, for every level. The including file's
// gk_store_quads writes 16 integers in the form that its product reads: GK_S8_WORDS words per quad.

/// The largest magnitude of a row; `poison` is 0, or NaN if the row contains NaN or infinity.
GK_INLINE float gk_row_magnitude(size_t columns, const float *x, float *poison) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    gk_f16 most = gk_splat(0.0f), spoiled = gk_splat(0.0f);
    for (size_t j = 0; j < whole; j += 16) {
        const gk_f16 v = gk_load(x + j);
        most = gk_greater(__builtin_elementwise_abs(v), most);
        spoiled = gk_fma(v, gk_splat(0.0f), spoiled);
    }
    if (rest) {
        const gk_f16 v = gk_load_part(x + whole, rest);
        most = gk_greater(__builtin_elementwise_abs(v), most);
        spoiled = gk_fma(v, gk_splat(0.0f), spoiled);
    }
    const gk_f8 eight = most.lo > most.hi ? most.lo : most.hi, spoiled8 = spoiled.lo + spoiled.hi;
    const gk_f4 four = eight.lo > eight.hi ? eight.lo : eight.hi, spoiled4 = spoiled8.lo + spoiled8.hi;
    *poison = (spoiled4[0] + spoiled4[1]) + (spoiled4[2] + spoiled4[3]);
    const float a = four[0] > four[1] ? four[0] : four[1], b = four[2] > four[3] ? four[2] : four[3];
    return a > b ? a : b;
}

/// 16 integers of x · factor, rounded to nearest with ties to even; |x · factor| ≤ 2^21.
GK_INLINE gk_i16 gk_rounded(gk_f16 x, float factor) {
    const gk_f16 magic = gk_splat(0x1.8p23f);
    return __builtin_bit_cast(gk_i16, gk_fma(x, gk_splat(factor), magic)) - __builtin_bit_cast(gk_i16, magic);
}

void GK_KERNEL(gk_s8_quantize_1x16)(
    size_t rows, size_t columns, const float *x, size_t x_stride, uint32_t *words, size_t word_stride, float *scales) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        uint32_t *out = words + r * word_stride;
        float poison;
        const float most = gk_row_magnitude(columns, in, &poison);
        // Rows this small become zeros, because their factor could be infinite.
        const int is_zero = most < GK_S8_LEAST;
        const float factor = is_zero ? 0.0f : 127.0f / most;
        scales[r] = (is_zero ? 0.0f : most / 127.0f) + poison;
        for (size_t j = 0; j < whole; j += 16) gk_store_quads(out + j / 4 * GK_S8_WORDS, gk_rounded(gk_load(in + j), factor));
        if (rest)
            gk_store_quads(out + whole / 4 * GK_S8_WORDS, gk_rounded(gk_load_part(in + whole, rest), factor));
    }
}

#define GK_S8_TILE_AT(r, j)                                                                                           \
    gk_fma(                                                                                                          \
        __builtin_convertvector(*(const gk_i16_memory *)(tile + (r) * tile_stride + (j)), gk_f16)                    \
            * gk_splat(row_scales[r]),                                                                               \
        gk_load(column_scales + (j)), bias ? gk_load(bias + (j)) : gk_splat(0.0f))
#define GK_S8_TILE_PART(r, j, count) GK_S8_TILE_AT(r, j)

GK_DEFINE_EPILOGUE(
    gk_dequantize_rows, GK_S8_TILE_AT, GK_S8_TILE_PART, const int32_t *tile, size_t tile_stride,
    const float *row_scales, const float *column_scales, const float *bias)

void GK_KERNEL(gk_s8_epilogue_1x16)(
    size_t rows, size_t columns, const int32_t *tile, size_t tile_stride, const float *row_scales,
    const float *column_scales, const float *bias, gk_activation activation, const float *residual,
    size_t residual_stride, float *output, size_t output_stride) {
#define GK_FINISH(constant)                                                                                          \
    gk_dequantize_rows(                                                                                              \
        rows, columns, constant, residual, residual_stride, output, output_stride, tile, tile_stride, row_scales,    \
        column_scales, bias)
    GK_FOR_ACTIVATION(activation, GK_FINISH)
#undef GK_FINISH
}
