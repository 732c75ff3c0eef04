// The float32 matrix product's micro-kernel and its epilogue. The including file sets GK_GEMM_ROWS and GK_GEMM_VECTORS,
// the tile of accumulators that fits its registers, and GK_KERNEL(symbol), which adds the level to a name.

#define GK_FULL_UNROLL _Pragma("clang loop unroll(full)")

// One tile: `rows` × `vectors` accumulators stay in registers over the whole depth. Both are constants at every call,
// so that the loops over them disappear. B is read once a call; each element of A is broadcast to the vectors.
#define GK_DEFINE_TILE(name, vector, memory, lanes)                                                                \
    GK_INLINE void name(                                                                                           \
        const size_t rows, const size_t vectors, size_t depth, const float *a, size_t a_stride, const float *b,    \
        const float *init, float *c, size_t c_stride) {                                                            \
        vector sum[GK_GEMM_ROWS][GK_GEMM_VECTORS];                                                                 \
        GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) {                                                      \
            const vector start = init ? *(const memory *)(init + lanes * v) : (vector)0.0f;                        \
            GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) sum[r][v] = start;                                    \
        }                                                                                                          \
        for (size_t k = 0; k < depth; k++) {                                                                       \
            vector panel[GK_GEMM_VECTORS];                                                                         \
            GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)                                                    \
                panel[v] = *(const memory *)(b + lanes * (vectors * k + v));                                       \
            GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) {                                                     \
                const vector x = (vector)a[r * a_stride + k];                                                      \
                GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)                                                \
                    sum[r][v] = __builtin_elementwise_fma(x, panel[v], sum[r][v]);                                 \
            }                                                                                                      \
        }                                                                                                          \
        GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)                                                           \
            GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)                                                    \
                *(memory *)(c + r * c_stride + lanes * v) = sum[r][v];                                             \
    }

GK_DEFINE_TILE(gk_tile_4, gk_f4, gk_f4_memory, 4)
GK_DEFINE_TILE(gk_tile_8, gk_f8, gk_f8_memory, 8)
GK_DEFINE_TILE(gk_tile_16, gk_f16, gk_f16_memory, 16)

#define GK_CASE(tile, r, v) \
    case r: tile(r, v, depth, a, a_stride, b, init, c, c_stride); return;
#define GK_CASES(tile, v)                                                                             \
    switch (rows) {                                                                                   \
        GK_CASE(tile, 1, v) GK_CASE(tile, 2, v) GK_CASE(tile, 3, v) GK_CASE(tile, 4, v)               \
        GK_CASE(tile, 5, v) GK_CASE(tile, 6, v)                                                       \
    default: return;                                                                                  \
    }
_Static_assert(GK_GEMM_ROWS == 6, "GK_CASES names the row counts one by one");

void GK_KERNEL(GK_GEMM_SYMBOL)(
    size_t rows, size_t width, size_t depth, const float *a, size_t a_stride, const float *b, const float *init,
    float *c, size_t c_stride) {
    switch (width) {
#if GK_GEMM_VECTORS > 1
    case 64: GK_CASES(gk_tile_16, 4)
    case 48: GK_CASES(gk_tile_16, 3)
    case 32: GK_CASES(gk_tile_16, 2)
#endif
    case 16: GK_CASES(gk_tile_16, 1)
    case 8: GK_CASES(gk_tile_8, 1)
    case 4: GK_CASES(gk_tile_4, 1)
    default: return;
    }
}

#undef GK_DEFINE_TILE
#undef GK_CASE
#undef GK_CASES

/// One vector of the epilogue. The activation is a constant at every call.
GK_INLINE gk_f16 gk_finish(gk_f16 x, const gk_activation activation) {
    switch (activation) {
    case gk_activation_none: return x;
    case gk_activation_silu: return gk_silu(x);
    case gk_activation_relu: return gk_relu(x);
    case gk_activation_gelu_tanh: return gk_gelu_tanh(x);
    }
}

GK_INLINE void gk_finish_rows(
    size_t rows, size_t columns, const float *tile, size_t tile_stride, const gk_activation activation,
    const float *residual, size_t residual_stride, float *output, size_t output_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *in = tile + r * tile_stride;
        const float *add = residual ? residual + r * residual_stride : NULL;
        float *out = output + r * output_stride;
        for (size_t j = 0; j < whole; j += 16) {
            gk_f16 x = gk_finish(gk_load(in + j), activation);
            if (add) x += gk_load(add + j);
            gk_store(out + j, x);
        }
        if (rest) {
            gk_f16 x = gk_finish(gk_load_part(in + whole, rest), activation);
            if (add) x += gk_load_part(add + whole, rest);
            gk_store_part(out + whole, x, rest);
        }
    }
}

void GK_KERNEL(gk_f32_epilogue_1x16)(
    size_t rows, size_t columns, const float *tile, size_t tile_stride, gk_activation activation,
    const float *residual, size_t residual_stride, float *output, size_t output_stride) {
#define GK_CASE(constant)                                                                                     \
    case constant:                                                                                            \
        gk_finish_rows(                                                                                       \
            rows, columns, tile, tile_stride, constant, residual, residual_stride, output, output_stride);    \
        return;
    switch (activation) {
        GK_CASE(gk_activation_none)
        GK_CASE(gk_activation_silu)
        GK_CASE(gk_activation_relu)
        GK_CASE(gk_activation_gelu_tanh)
    }
#undef GK_CASE
}
