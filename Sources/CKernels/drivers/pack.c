// How matrices are laid out for the micro-kernels: widened to float32 and cut into column panels.

#include "CKernels.h"

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
        return __builtin_bit_cast(float, (uint32_t)half << 16);
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

void gk_pack(
    gk_dtype dtype, const void *source, size_t row_step, size_t column_step, size_t depth, size_t first_source,
    size_t count, size_t first, size_t columns, size_t full, float *packed) {
    size_t panel = first / full * full, width = gk_panel_width(panel, columns, full);
    for (size_t n = 0; n < count; n++) {
        const size_t column = first + n;
        while (column >= panel + width) {
            panel += width;
            width = gk_panel_width(panel, columns, full);
        }
        float *output = packed + panel * depth + (column - panel);
        const size_t base = (first_source + n) * column_step;
        for (size_t k = 0; k < depth; k++) output[k * width] = widened(dtype, source, base + k * row_step);
    }
}
