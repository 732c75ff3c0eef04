// Rows of float32 to the lanes of vectors and back, for attention of every element type.

#ifndef GENREC_KERNEL_LANES_H
#define GENREC_KERNEL_LANES_H

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
