// The quantised copy of a catalogue, and the bounds on scores derived from it.
//
// A row x with largest magnitude m has scale s = m/127 and integers n with x = s(1 + δ)(n + e) and |e| ≤ ½ + 2^-17 per
// column, where δ is the rounding error of s and its inverse, and 2^-17 that of the quantisation. A query q is
// t·h + u·l + ρ, with integers h and l of at most 127. With A = t Σ h·n + u Σ l·n, the score is
//
//     Σ q·x = s(1 + δ)(A + Σ ρ·n + Σ q·e),  |Σ ρ·n| ≤ 127 ‖ρ‖₁,  |Σ q·e| ≤ (½ + 2^-17) ‖q‖₁,  |δ| ≤ 2^-23.
//
// The kernel's float32 sum, in any order, differs from Σ q·x by at most (D + 2) 2^-24 Σ |q·x|, which is at most (D + 2)
// 2^-24 · 128 s ‖q‖₁, and by D · 2^-149 more if products are subnormal. The bound is computed in float32 too: the parts
// of A are at most 127 (‖q‖₁ + D t), and δ and eight roundings add at most 10 · 2^-24 of that. All of this is
// proportional to s except the subnormal part, which GK_BOUND_LEAST covers.

#include "CKernels.h"

#include <math.h>
#include <string.h>

/// The largest magnitude in a row, compared by bits, so that NaN counts as the largest.
static float magnitude(size_t count, const float *x) {
    int32_t most = 0;
    for (size_t k = 0; k < count; k++) {
        int32_t bits;
        memcpy(&bits, x + k, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float result;
    memcpy(&result, &most, sizeof result);
    return result;
}

float gk_copy_block(
    const gk_kernels *kernels, size_t block, size_t rows, size_t depth, const float *x, int8_t *bytes,
    const gk_items_copy *copy) {
    const size_t quads = gk_packed_depth(gk_dtype_int8, depth), width = kernels->gemm_columns;
    float largest = 0;
    memset(bytes, 0, 4 * quads * gk_block_rows);
    for (size_t row = 0; row < gk_block_rows; row++) {
        const float *from = x + row * depth, most = row < rows ? magnitude(depth, from) : 0;
        const size_t place = block * gk_block_rows + row;
        // Once NaN, `largest` stays NaN.
        if (!isnan(largest) && !(most <= largest)) largest = most;
        // Rows this small become zeros. The scale is chosen such that |x| ≤ s/2.
        if (!(most >= GK_S8_LEAST)) {
            copy->scales[place] = 2 * GK_S8_LEAST;
            copy->init[place] = 0;
            continue;
        }
        copy->scales[place] = most / 127;
        const float factor = 127 / most;
        int8_t *to = bytes + 4 * quads * row;
        int32_t sum = 0;
        for (size_t k = 0; k < depth; k++) {
            // Rounds to the nearest integer, which ends up in the low bits.
            const float shifted = from[k] * factor + 0x1.8p23f;
            int32_t integer;
            memcpy(&integer, &shifted, sizeof integer);
            to[k] = (int8_t)integer;
            sum += (int8_t)integer;
        }
        copy->init[place] = -kernels->s8_zero * sum;
    }
    for (size_t column = 0; column < gk_block_rows; column += width) {
        uint32_t *panel = copy->packed + (block * gk_block_rows + column) * quads;
        for (size_t k = 0; k < quads; k++)
            for (size_t i = 0; i < width; i++) memcpy(panel + k * width + i, bytes + 4 * (quads * (column + i) + k), 4);
    }
    return largest;
}

/// Divides `x` by the step that makes its largest magnitude 127, rounds to integers, and stores the remainder in
/// `rest`. Returns the step; 0 for a row of zeros.
static float split(size_t depth, const double *x, float *integers, double *rest) {
    double most = 0;
    for (size_t k = 0; k < depth; k++) most = fmax(most, fabs(x[k]));
    const float step = (float)(most / 127);
    for (size_t k = 0; k < depth; k++) {
        // The step is rounded, so the quotient can be slightly above 127.
        integers[k] = step > 0 ? (float)fmin(fmax(nearbyint(x[k] / step), -127), 127) : 0;
        rest[k] = x[k] - (double)step * integers[k];
    }
    return step;
}

int gk_bound_query(
    const gk_kernels *kernels, size_t depth, const float *query, float largest, double *numbers, float *floats,
    uint32_t *words, size_t word_stride, gk_bound *bound) {
    double sum = 0, loss = 0;
    for (size_t k = 0; k < depth; k++) {
        numbers[k] = query[k];
        sum += fabs(numbers[k]);
    }
    // Ensures that nothing below overflows. The comparison is false for NaN.
    if (!(sum * fmaxf(largest, 1) < 0x1p100)) return 0;
    // `s8_quantize` gives the rows of integers the scale 1, because their largest magnitude is 127, or they are zeros.
    const float high = split(depth, numbers, floats, numbers), low = split(depth, numbers, floats + depth, numbers);
    for (size_t k = 0; k < depth; k++) loss += fabs(numbers[k]);
    float scales[2];
    kernels->s8_quantize(2, depth, floats, depth, words, word_stride, scales);
    const double unit = 0x1p-24, columns = (double)depth;
    const double error = (0.5 + 0x1p-17) * sum + 127 * loss;
    const double roundings = 127 * (sum + columns * high);
    const double margin = 1.0001 * error + 128 * (columns + 2) * unit * sum + 16 * unit * roundings;
    *bound = (gk_bound){high, low, nextafterf((float)margin, INFINITY)};
    return 1;
}
