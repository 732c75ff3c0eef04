// Rows of float32 to the lanes of vectors and back, for attention of every element type.

#ifndef GENREC_KERNEL_LANES_H
#define GENREC_KERNEL_LANES_H

#include "gemm_tile.h"

#ifdef GK_WIDE_SHUFFLES

/// A 16 × 16 block, rows for columns: four rounds of interleaving the first eight vectors with the others.
GK_INLINE void gk_transpose_16(gk_f16 x[16]) {
    GK_FULL_UNROLL for (int round = 0; round < 4; round++) {
        gk_f16 y[16];
        GK_FULL_UNROLL for (int i = 0; i < 8; i++) {
            y[2 * i] = __builtin_shufflevector(
                x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            y[2 * i + 1] = __builtin_shufflevector(
                x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        GK_FULL_UNROLL for (int i = 0; i < 16; i++) x[i] = y[i];
    }
}

/// (rows ≤ 16, columns) → (columns, 16); lanes without a row are 0.
GK_INLINE void gk_rows_to_lanes(const float *x, size_t x_stride, size_t rows, size_t columns, float *output) {
    for (size_t c = 0; c < columns; c += 16) {
        const size_t count = columns - c < 16 ? columns - c : 16;
        gk_f16 block[16];
        for (size_t r = 0; r < 16; r++) {
            const float *in = x + r * x_stride + c;
            block[r] = r >= rows ? gk_splat(0.0f) : count == 16 ? gk_load(in) : gk_load_part(in, count);
        }
        gk_transpose_16(block);
        if (count == 16) {
            GK_FULL_UNROLL for (size_t i = 0; i < 16; i++) gk_store(output + 16 * (c + i), block[i]);
        } else {
            for (size_t i = 0; i < count; i++) gk_store(output + 16 * (c + i), block[i]);
        }
    }
}

/// (columns, 16) → (rows ≤ 16, columns), times `scale`.
GK_INLINE void gk_lanes_to_rows(
    const float *x, size_t rows, size_t columns, float scale, float *output, size_t output_stride) {
    for (size_t c = 0; c < columns; c += 16) {
        const size_t count = columns - c < 16 ? columns - c : 16;
        gk_f16 block[16];
        for (size_t i = 0; i < 16; i++)
            block[i] = i < count ? gk_load(x + 16 * (c + i)) * gk_splat(scale) : gk_splat(0.0f);
        gk_transpose_16(block);
        for (size_t r = 0; r < rows; r++) {
            if (count == 16) gk_store(output + r * output_stride + c, block[r]);
            else gk_store_part(output + r * output_stride + c, block[r], count);
        }
    }
}

#else

/// (rows ≤ 16, columns) → (columns, 16); lanes without a row are 0.
GK_INLINE void gk_rows_to_lanes(const float *x, size_t x_stride, size_t rows, size_t columns, float *output) {
    const size_t whole_rows = rows & ~(size_t)3, whole_columns = columns & ~(size_t)3;
    for (size_t r = 0; r < whole_rows; r += 4) {
        const float *in = x + r * x_stride;
        for (size_t c = 0; c < whole_columns; c += 4) {
            gk_f4 block[4];
            for (size_t i = 0; i < 4; i++) block[i] = *(const gk_f4_memory *)(in + i * x_stride + c);
            gk_transpose(block);
            for (size_t i = 0; i < 4; i++) *(gk_f4_memory *)(output + 16 * (c + i) + r) = block[i];
        }
        for (size_t c = whole_columns; c < columns; c++)
            for (size_t i = 0; i < 4; i++) output[16 * c + r + i] = in[i * x_stride + c];
    }
    for (size_t r = whole_rows; r < 16; r++)
        for (size_t c = 0; c < columns; c++) output[16 * c + r] = r < rows ? x[r * x_stride + c] : 0.0f;
}

/// (columns, 16) → (rows ≤ 16, columns), times `scale`.
GK_INLINE void gk_lanes_to_rows(
    const float *x, size_t rows, size_t columns, float scale, float *output, size_t output_stride) {
    const size_t whole_rows = rows & ~(size_t)3, whole_columns = columns & ~(size_t)3;
    for (size_t r = 0; r < whole_rows; r += 4) {
        float *out = output + r * output_stride;
        for (size_t c = 0; c < whole_columns; c += 4) {
            gk_f4 block[4];
            for (size_t i = 0; i < 4; i++) block[i] = *(const gk_f4_memory *)(x + 16 * (c + i) + r) * scale;
            gk_transpose(block);
            for (size_t i = 0; i < 4; i++) *(gk_f4_memory *)(out + i * output_stride + c) = block[i];
        }
        for (size_t c = whole_columns; c < columns; c++)
            for (size_t i = 0; i < 4; i++) out[i * output_stride + c] = x[16 * c + r + i] * scale;
    }
    for (size_t r = whole_rows; r < rows; r++)
        for (size_t c = 0; c < columns; c++) output[r * output_stride + c] = x[16 * c + r] * scale;
}

#endif

#endif
