// Half-precision numbers as bit patterns, rounded to nearest, ties to even.

#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace emulator {

inline uint32_t bitsOf(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

inline float floatOf(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline float fromBF16(uint16_t half) { return floatOf((uint32_t)half << 16); }

inline uint16_t toBF16(float value) {
    const uint32_t bits = bitsOf(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float computeFromF16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31) return floatOf(sign | 0x7f800000 | fraction << 13);
    if (exponent != 0) return floatOf(sign | (exponent + 112) << 23 | fraction << 13);
    const float subnormal = (float)fraction * 0x1p-24f;
    return sign != 0 ? -subnormal : subnormal;
}

inline float fromF16(uint16_t half) {
    static const std::vector<float> table = [] {
        std::vector<float> values(65536);
        for (uint32_t bits = 0; bits < 65536; bits++) values[bits] = computeFromF16((uint16_t)bits);
        return values;
    }();
    return table[half];
}

inline uint16_t toF16(float value) {
    const uint32_t bits = bitsOf(value), magnitude = bits & 0x7fffffff;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return sign | 0x7e00;
    if (magnitude >= 0x477ff000) return sign | 0x7c00;  // from 65520 on
    if (magnitude < 0x38800000) {
        // Subnormal: adding 2^-1 · 2^(24 - …) lets the addition round; 0.5 has the unit 2^-24.
        return sign | (uint16_t)(bitsOf(floatOf(magnitude) + 0.5f) - bitsOf(0.5f));
    }
    const uint32_t rebased = magnitude - (112u << 23);
    return sign | (uint16_t)((rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
}

}  // namespace emulator
