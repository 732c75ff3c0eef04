// The scalar kernels of bfloat16: plain C in the order of the formulas, deliberately not optimised. A stays float32.

#include "../lists/declarations.h"

#include "../drivers/bfloat16.h"

void gk_bf16_round_1x16__scalar(
    size_t rows, size_t columns, const float *x, size_t x_stride, void *words, size_t word_stride) {
    const size_t padded = (columns + 15) / 16 * 16;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < padded; j++)
            ((float *)words)[r * word_stride + j] =
                j < columns ? gk_float_of_bfloat16(gk_bfloat16_of(x[r * x_stride + j])) : 0.0f;
}

void gk_bf16_gemm_4x16__scalar(
    size_t rows, size_t width, size_t depth, const void *a, size_t a_stride, const uint32_t *b, const float *init,
    float *c, size_t c_stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *row = (const float *)a + r * a_stride;
        for (size_t j = 0; j < width; j++) {
            float sum = init ? init[j] : 0.0f;
            for (size_t k = 0; k < depth; k++) {
                const uint32_t pair = b[k * width + j];
                sum += row[2 * k] * gk_float_of_bfloat16((uint16_t)pair);
                sum += row[2 * k + 1] * gk_float_of_bfloat16((uint16_t)(pair >> 16));
            }
            c[r * c_stride + j] = sum;
        }
    }
}
