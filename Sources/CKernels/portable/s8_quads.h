// The int8 product for levels with a dot product of four bytes. The including file's gk_dot_quads_4, _8 and _16 add a ·
// b of each lane's four bytes to an int32. It also defines gk_store_quads. GK_S8_GEMM_SYMBOL names the kernel.

#define GK_S8_WORDS 1

#define GK_QUAD_STEP_4(row, panel, sum) gk_dot_quads_4(sum, (gk_u4)(row)[0], panel)
#define GK_QUAD_STEP_8(row, panel, sum) gk_dot_quads_8(sum, (gk_u8)(row)[0], panel)
#define GK_QUAD_STEP_16(row, panel, sum) gk_dot_quads_16(sum, (gk_u16)(row)[0], panel)

GK_DEFINE_TILE(gk_quad_tile_4, gk_i4, int32_t, gk_u4, uint32_t, uint32_t, 4, 1, GK_QUAD_STEP_4)
GK_DEFINE_TILE(gk_quad_tile_8, gk_i8, int32_t, gk_u8, uint32_t, uint32_t, 8, 1, GK_QUAD_STEP_8)
GK_DEFINE_TILE(gk_quad_tile_16, gk_i16, int32_t, gk_u16, uint32_t, uint32_t, 16, 1, GK_QUAD_STEP_16)

void GK_KERNEL(GK_S8_GEMM_SYMBOL)(
    size_t rows, size_t width, size_t depth, const uint32_t *a, size_t a_stride, const uint32_t *b,
    const int32_t *init, int32_t *c, size_t c_stride) {
    GK_GEMM_BODY(gk_quad_tile_4, gk_quad_tile_8, gk_quad_tile_16, GK_GEMM_VECTORS)
}

#include "s8_quantize.h"
