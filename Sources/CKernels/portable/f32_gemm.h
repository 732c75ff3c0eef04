// The float32 matrix product's micro-kernel and its epilogue. GK_KERNEL(symbol) adds the level to a name.

#include "gemm_tile.h"

#define GK_F32_STEP(row, panel, sum) __builtin_elementwise_fma((__typeof__(panel))(row)[0], panel, sum)

GK_DEFINE_TILE(gk_tile_4, gk_f4, float, gk_f4, float, float, 4, 1, GK_F32_STEP)
GK_DEFINE_TILE(gk_tile_8, gk_f8, float, gk_f8, float, float, 8, 1, GK_F32_STEP)
GK_DEFINE_TILE(gk_tile_16, gk_f16, float, gk_f16, float, float, 16, 1, GK_F32_STEP)

void GK_KERNEL(GK_GEMM_SYMBOL)(
    size_t rows, size_t width, size_t depth, const float *a, size_t a_stride, const float *b, const float *init,
    float *c, size_t c_stride) {
    GK_GEMM_BODY(gk_tile_4, gk_tile_8, gk_tile_16, GK_GEMM_VECTORS)
}

#include "epilogue.h"

#define GK_F32_TILE_AT(r, j) gk_load(tile + (r) * tile_stride + (j))
#define GK_F32_TILE_PART(r, j, count) gk_load_part(tile + (r) * tile_stride + (j), count)

GK_DEFINE_EPILOGUE(
    gk_finish_rows, GK_F32_TILE_AT, GK_F32_TILE_PART, const float *tile, size_t tile_stride)

void GK_KERNEL(gk_f32_epilogue_1x16)(
    size_t rows, size_t columns, const float *tile, size_t tile_stride, gk_activation activation,
    const float *residual, size_t residual_stride, float *output, size_t output_stride) {
#define GK_FINISH(constant)                                                                                          \
    gk_finish_rows(                                                                                                  \
        rows, columns, constant, residual, residual_stride, output, output_stride, tile, tile_stride)
    GK_FOR_ACTIVATION(activation, GK_FINISH)
#undef GK_FINISH
}
