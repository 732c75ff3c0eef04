// The scalar kernels of int8: plain C in the order of the formulas, deliberately not optimised. A word of A is a quad of
// bytes.

#include "../lists/declarations.h"

#include "activations.h"

#include <math.h>

void gk_s8_quantize_1x16__scalar(
    size_t rows, size_t columns, const float *x, size_t x_stride, uint32_t *words, size_t word_stride, float *scales) {
    const size_t padded = (columns + 15) / 16 * 16;
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        int8_t *out = (int8_t *)(words + r * word_stride);
        float most = 0, poison = 0;
        for (size_t j = 0; j < columns; j++) {
            if (fabsf(in[j]) > most) most = fabsf(in[j]);
            poison += in[j] * 0.0f;
        }
        const int is_zero = most < GK_S8_LEAST;
        const float factor = is_zero ? 0.0f : 127.0f / most;
        scales[r] = (is_zero ? 0.0f : most / 127.0f) + poison;
        // The integers of a poisoned row are undefined, but converting NaN to an integer would be undefined behaviour.
        for (size_t j = 0; j < padded; j++)
            out[j] = j < columns && poison == 0 ? (int8_t)nearbyint((double)in[j] * factor) : 0;
    }
}

void gk_s8_gemm_4x16__scalar(
    size_t rows, size_t width, size_t depth, const uint32_t *a, size_t a_stride, const uint32_t *b,
    const int32_t *init, int32_t *c, size_t c_stride) {
    const int8_t *weights = (const int8_t *)b;
    for (size_t r = 0; r < rows; r++) {
        const int8_t *row = (const int8_t *)(a + r * a_stride);
        for (size_t j = 0; j < width; j++) {
            int32_t sum = init[j];
            for (size_t k = 0; k < 4 * depth; k++) sum += row[k] * weights[(k / 4 * width + j) * 4 + k % 4];
            c[r * c_stride + j] = sum;
        }
    }
}

void gk_s8_epilogue_1x16__scalar(
    size_t rows, size_t columns, const int32_t *tile, size_t tile_stride, const float *row_scales,
    const float *column_scales, const float *bias, gk_activation activation, const float *residual,
    size_t residual_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            const float x = (float)tile[r * tile_stride + j] * row_scales[r] * column_scales[j] + (bias ? bias[j] : 0);
            const float y = activated(x, activation);
            output[r * output_stride + j] = residual ? y + residual[r * residual_stride + j] : y;
        }
    }
}
