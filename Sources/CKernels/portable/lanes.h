// Transposes rows of float32 into the lanes of vectors and back, and masks lanes, for attention of every element type.

#ifndef GENREC_KERNEL_LANES_H
#define GENREC_KERNEL_LANES_H

#include "gemm_tile.h"

#ifdef GK_WIDE_SHUFFLES

/// Transposes a 16 × 16 block in four rounds of interleaving the first eight vectors with the others.
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

/// `x` in the lanes whose keys the row attends to, `unseen` in the others. Lane 0 is key `begin`.
GK_INLINE gk_f16 gk_seen(gk_f16 x, size_t row, size_t begin, float unseen) {
    if (begin + 15 <= row) return x;
    // `seen` is above -16, because the first lane's key is at most the tile's last, gk_few_rows - 1 after the first
    // row.
    const int32_t seen = (int32_t)row - (int32_t)begin;
    return GK_LANE_NUMBERS <= (gk_i16)seen ? x : gk_splat(unseen);
}

/// Writes row r of (rows, padded) times `factors[r]` to the tile's output.
GK_INLINE void gk_rows_out(const gk_attention_tile *tile, const float *rows, size_t padded, const float *factors) {
    const size_t whole = tile->value_columns & ~(size_t)15, rest = tile->value_columns & 15;
    for (size_t r = 0; r < tile->rows; r++) {
        const float *in = rows + padded * r;
        float *out = tile->output + tile->output_stride * r;
        const gk_f16 factor = gk_splat(factors[r]);
        for (size_t c = 0; c < whole; c += 16) gk_store(out + c, gk_load(in + c) * factor);
        if (rest) gk_store_part(out + whole, gk_load(in + whole) * factor, rest);
    }
}

// One GK_CASE for each number of value columns that the kernels have accumulators for.
#if GK_VALUE_COLUMNS > 6
#define GK_VALUE_CASES                                                                                                \
    GK_CASE(1) GK_CASE(2) GK_CASE(3) GK_CASE(4) GK_CASE(5) GK_CASE(6) GK_CASE(7) GK_CASE(8) GK_CASE(9) GK_CASE(10)   \
    GK_CASE(11) GK_CASE(12) GK_CASE(13) GK_CASE(14) GK_CASE(15) GK_CASE(16) GK_CASE(17) GK_CASE(18) GK_CASE(19)      \
    GK_CASE(20) GK_CASE(21) GK_CASE(22) GK_CASE(23) GK_CASE(24) GK_CASE(25) GK_CASE(26) GK_CASE(27) GK_CASE(28)
#else
#define GK_VALUE_CASES GK_CASE(1) GK_CASE(2) GK_CASE(3) GK_CASE(4) GK_CASE(5) GK_CASE(6)
#endif

#endif
