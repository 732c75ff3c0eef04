// The int8 product for levels without a dot product of bytes: the even and the odd bytes of four weights become two
// pairs of 16-bit integers, which are multiplied and added exactly. gk_multiply_pairs (_4, _8) of the including file
// adds the products of the two halves of each lane; GK_S8_TILE_VECTORS is the number of panel vectors that fit its
// registers.

#define GK_S8_WORDS 2

/// Stores the words of 4 quads: the first word of each has the even, the second the odd of its four integers.
GK_INLINE void gk_store_quads(uint32_t *words, gk_i16 x) {
    const gk_i8 first = __builtin_shufflevector(x, x, 0, 1, 4, 5, 8, 9, 12, 13);
    const gk_i8 second = __builtin_shufflevector(x, x, 2, 3, 6, 7, 10, 11, 14, 15);
    *(gk_i8_memory *)words = (first & 0xffff) | (second << 16);
}

#define GK_DEFINE_PAIR_OF_PAIRS_STEP(name, i, u, lanes, multiply)                                                     \
    GK_INLINE i name(const int32_t *row, u panel, i sum) {                                                           \
        typedef int16_t halves __attribute__((ext_vector_type(2 * lanes)));                                          \
        const halves bytes = __builtin_bit_cast(halves, panel);                                                      \
        const i even = __builtin_bit_cast(i, bytes << 8 >> 8), odd = __builtin_bit_cast(i, bytes >> 8);              \
        return sum + (multiply((i)row[0], even) + multiply((i)row[1], odd));                                         \
    }
GK_DEFINE_PAIR_OF_PAIRS_STEP(gk_quad_step_4, gk_i4, gk_u4, 4, gk_multiply_pairs_4)
GK_DEFINE_PAIR_OF_PAIRS_STEP(gk_quad_step_8, gk_i8, gk_u8, 8, gk_multiply_pairs_8)
GK_DEFINE_PAIR_OF_PAIRS_STEP(gk_quad_step_16, gk_i16, gk_u16, 16, gk_multiply_pairs)

GK_DEFINE_TILE(gk_quad_tile_4, gk_i4, int32_t, gk_u4, int32_t, uint32_t, 4, 2, gk_quad_step_4)
GK_DEFINE_TILE(gk_quad_tile_8, gk_i8, int32_t, gk_u8, int32_t, uint32_t, 8, 2, gk_quad_step_8)
GK_DEFINE_TILE(gk_quad_tile_16, gk_i16, int32_t, gk_u16, int32_t, uint32_t, 16, 2, gk_quad_step_16)

void GK_KERNEL(GK_S8_GEMM_SYMBOL)(
    size_t rows, size_t width, size_t depth, const uint32_t *words, size_t a_stride, const uint32_t *b,
    const int32_t *init, int32_t *c, size_t c_stride) {
    const int32_t *a = (const int32_t *)words;
    GK_GEMM_BODY(gk_quad_tile_4, gk_quad_tile_8, gk_quad_tile_16, GK_S8_TILE_VECTORS)
}

#include "s8_quantize.h"
