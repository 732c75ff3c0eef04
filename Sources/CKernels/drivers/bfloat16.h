// Conversion of single bfloat16 numbers: the upper half of a float32.

#ifndef GENREC_BFLOAT16_H
#define GENREC_BFLOAT16_H

#include <stdint.h>

static inline float gk_float_of_bfloat16(uint16_t x) { return __builtin_bit_cast(float, (uint32_t)x << 16); }

/// Rounded to nearest with ties to even. NaN stays NaN.
static inline uint16_t gk_bfloat16_of(float x) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
