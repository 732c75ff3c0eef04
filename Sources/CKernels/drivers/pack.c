// Packs matrices for the micro-kernels: in column panels of float32, or with elements adjacent in k combined into pairs
// of bfloat16 or quads of int8.

#include "CKernels.h"

#include "bfloat16.h"

#include <math.h>
#include <string.h>

static float widened(gk_dtype dtype, const char *source, size_t index) {
    switch (dtype) {
    case gk_dtype_float32: {
        float x;
        memcpy(&x, source + 4 * index, sizeof x);
        return x;
    }
    case gk_dtype_bfloat16: {
        uint16_t half;
        memcpy(&half, source + 2 * index, sizeof half);
        return gk_float_of_bfloat16(half);
    }
    case gk_dtype_float16: {
        uint16_t half;
        memcpy(&half, source + 2 * index, sizeof half);
        const uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
        if (magnitude >= 0x7c00)  // infinity or NaN
            return __builtin_bit_cast(float, sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
        if (magnitude < 0x400) {  // zero or subnormal: a multiple of 2^-24, exact in float32
            const float x = (float)magnitude * 0x1p-24f;
            return sign ? -x : x;
        }
        return __builtin_bit_cast(float, sign | ((magnitude << 13) + ((127 - 15) << 23)));
    }
    case gk_dtype_int8: break;
    }
    return 0;
}

void gk_widen(gk_dtype dtype, const void *source, size_t count, float *output) {
    if (dtype == gk_dtype_float32) {
        memcpy(output, source, count * sizeof *output);
        return;
    }
    for (size_t i = 0; i < count; i++) output[i] = widened(dtype, source, i);
}

size_t gk_panel_width(size_t column, size_t columns, size_t full) {
    const size_t left = columns - column;
    if (left >= full) return full;
    const size_t whole = left & ~(size_t)15, part = left & 15;
    if (part > 8) return whole + 16;
    if (whole) return whole;
    return part > 4 ? 8 : 4;
}

size_t gk_packed_columns(size_t columns, size_t full) {
    size_t column = columns / full * full;
    while (column < columns) column += gk_panel_width(column, columns, full);
    return column;
}

size_t gk_packed_depth(gk_dtype packed, size_t depth) {
    switch (packed) {
    case gk_dtype_float32: return depth;
    case gk_dtype_float16:
    case gk_dtype_bfloat16: return (depth + 1) / 2;
    case gk_dtype_int8: return (depth + 3) / 4;
    }
}

/// Element k of the column that starts at `base` of the source.
static float element(const gk_packing *job, size_t base, size_t k) {
    return widened(job->source_dtype, job->source, base + k * job->row_step);
}

/// The index of element k of a column within its panel of `width` columns, relative to the column's first element.
/// `share` elements make a word.
static size_t place(size_t k, size_t width, size_t share) { return k / share * width * share + k % share; }

/// Quantises a column to int8 with its own scale, as gk_s8_quantize_fn does for a row.
static void quantize_column(const gk_packing *job, size_t base, size_t width, int8_t *output, float *scale, int32_t *sum) {
    float most = 0;
    for (size_t k = 0; k < job->depth; k++) most = fmaxf(most, fabsf(element(job, base, k)));
    const int is_zero = most < GK_S8_LEAST;
    const float factor = is_zero ? 0 : 127 / most;
    *scale = is_zero ? 0 : most / 127;
    *sum = 0;
    for (size_t k = 0; k < job->depth; k++) {
        // An infinite or NaN weight has no integer, so the scale of the column becomes NaN.
        const double x = nearbyint((double)element(job, base, k) * factor);
        if (!(fabs(x) <= 127)) *scale = NAN;
        const int8_t integer = fabs(x) <= 127 ? (int8_t)x : 0;
        output[place(k, width, 4)] = integer;
        *sum += integer;
    }
}

void gk_pack(const gk_packing *job) {
    const size_t depth = gk_packed_depth(job->packed_dtype, job->depth);
    size_t panel = job->first / job->full * job->full, width = gk_panel_width(panel, job->columns, job->full);
    for (size_t n = 0; n < job->count; n++) {
        const size_t column = job->first + n;
        while (column >= panel + width) {
            panel += width;
            width = gk_panel_width(panel, job->columns, job->full);
        }
        char *output = (char *)job->packed + sizeof(uint32_t) * (panel * depth + (column - panel));
        const size_t base = (job->first_source + n) * job->column_step;
        switch (job->packed_dtype) {
        case gk_dtype_float32:
            for (size_t k = 0; k < job->depth; k++) ((float *)output)[k * width] = element(job, base, k);
            break;
        case gk_dtype_bfloat16:
            for (size_t k = 0; k < job->depth; k++)
                ((uint16_t *)output)[place(k, width, 2)] = gk_bfloat16_of(element(job, base, k));
            break;
        case gk_dtype_int8:
            quantize_column(job, base, width, (int8_t *)output, job->scales + n, job->sums + n);
            break;
        case gk_dtype_float16: break;
        }
    }
}
