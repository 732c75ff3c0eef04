// The tile of a matrix product that every element type shares. The including file sets GK_GEMM_ROWS and
// GK_GEMM_VECTORS, the tile of accumulators that fits its registers.

#ifndef GENREC_KERNEL_GEMM_TILE_H
#define GENREC_KERNEL_GEMM_TILE_H

#define GK_FULL_UNROLL _Pragma("clang loop unroll(full)")

// One tile: `rows` × `vectors` accumulators stay in registers over the whole depth, which counts steps of `words` words
// of A each. Rows and vectors are constants at every call, so the loops over them are unrolled. B is read once per
// call. `pitch` is the number of vectors of B per step, of which the tile uses the first ones. `step(row, panel, sum)`
// adds the product of one step; `row` points at its words of A, which are broadcast.
#define GK_DEFINE_TILE(name, vector, element, panel_vector, a_word, b_word, lanes, words, step)                       \
    GK_INLINE void name(                                                                                             \
        const size_t rows, const size_t vectors, const size_t pitch, size_t depth, const a_word *a, size_t a_stride, \
        const b_word *b, const element *init, element *c, size_t c_stride) {                                         \
        vector sum[GK_GEMM_ROWS][GK_GEMM_VECTORS];                                                                   \
        GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) {                                                        \
            const vector start = init ? *(const vector##_memory *)(init + lanes * v) : (vector)(element)0;                    \
            GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) sum[r][v] = start;                                      \
        }                                                                                                            \
        for (size_t k = 0; k < depth; k++) {                                                                         \
            panel_vector panel[GK_GEMM_VECTORS];                                                                     \
            GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)                                                      \
                panel[v] = *(const panel_vector##_memory *)(b + lanes * (pitch * k + v));                                     \
            GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) {                                                       \
                const a_word *row = a + r * a_stride + k * words;                                                      \
                GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = step(row, panel[v], sum[r][v]);      \
            }                                                                                                        \
        }                                                                                                            \
        GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)                                                             \
            GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)                                                      \
                *(vector##_memory *)(c + r * c_stride + lanes * v) = sum[r][v];                                               \
    }

// Calls a tile for each number of rows, with the parameters of a gemm kernel in scope.
#define GK_TILE_ROWS(tile, r, v, pitch, b, init, c) \
    case r: tile(r, v, pitch, depth, a, a_stride, b, init, c, c_stride); break;
#define GK_TILE_CASES(tile, v, pitch, b, init, c)                                                                     \
    switch (rows) {                                                                                                  \
        GK_TILE_ROWS(tile, 1, v, pitch, b, init, c) GK_TILE_ROWS(tile, 2, v, pitch, b, init, c)                      \
        GK_TILE_ROWS(tile, 3, v, pitch, b, init, c) GK_TILE_ROWS(tile, 4, v, pitch, b, init, c)                      \
        GK_TILE_ROWS(tile, 5, v, pitch, b, init, c) GK_TILE_ROWS(tile, 6, v, pitch, b, init, c)                      \
    default: break;                                                                                                  \
    }

// The body of a gemm kernel over tiles of 4, 8 and 16 lanes. `most` is the number of vectors that a tile takes at a
// time, fewer than the panel has if splitting a panel vector needs registers.
#if GK_GEMM_VECTORS > 1
#define GK_WIDE_CASES(tile16, most)                                                                                   \
    case 64:                                                                                                         \
        for (size_t v = 0; v < 4; v += most)                                                                         \
            GK_TILE_CASES(tile16, most, 4, b + 16 * v, init ? init + 16 * v : init, c + 16 * v)                      \
        return;                                                                                                      \
    case 48:                                                                                                         \
        for (size_t v = 0; v < 3; v += most == 4 ? 3 : 1)                                                            \
            GK_TILE_CASES(tile16, (most == 4 ? 3 : 1), 3, b + 16 * v, init ? init + 16 * v : init, c + 16 * v)       \
        return;                                                                                                      \
    case 32: GK_TILE_CASES(tile16, 2, 2, b, init, c) return;
#else
#define GK_WIDE_CASES(tile16, most)
#endif
#define GK_GEMM_BODY(tile4, tile8, tile16, most)                                                                      \
    switch (width) {                                                                                                 \
        GK_WIDE_CASES(tile16, most)                                                                                  \
    case 16: GK_TILE_CASES(tile16, 1, 1, b, init, c) return;                                                         \
    case 8: GK_TILE_CASES(tile8, 1, 1, b, init, c) return;                                                           \
    case 4: GK_TILE_CASES(tile4, 1, 1, b, init, c) return;                                                           \
    default: return;                                                                                                 \
    }

_Static_assert(GK_GEMM_ROWS == 6, "GK_TILE_CASES names the row counts one by one");

#endif
