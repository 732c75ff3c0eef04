// Vectors of 16 floats in clang's vector extensions, in which the kernel bodies are written. A file in isa/ includes
// one body after another under one instruction set; the compiler splits a vector into as many registers as the set
// needs (one on AVX-512, two on AVX2, four on NEON), which changes no element's arithmetic.
//
// The including file supplies what the extensions cannot express well: gk_load_part and gk_store_part (less than a
// vector), gk_mask_at_least, gk_distances, gk_look_up_cells, gk_store_bytes, gk_time_table and its look-up, and
// gk_silu_bf16.

#ifndef GENREC_KERNEL_VECTOR_H
#define GENREC_KERNEL_VECTOR_H

#include <stddef.h>
#include <stdint.h>

// Every function over vectors is inlined into a kernel of the same instruction set. No vector crosses a call, so the
// warning about calling conventions that depend on the instruction set does not apply.
#pragma clang diagnostic ignored "-Wpsabi"

#define GK_INLINE static inline __attribute__((always_inline))

typedef float gk_f4 __attribute__((ext_vector_type(4)));
typedef float gk_f8 __attribute__((ext_vector_type(8)));
typedef float gk_f16 __attribute__((ext_vector_type(16)));
typedef int32_t gk_i4 __attribute__((ext_vector_type(4)));
typedef int32_t gk_i8 __attribute__((ext_vector_type(8)));
typedef int32_t gk_i16 __attribute__((ext_vector_type(16)));
typedef uint32_t gk_u4 __attribute__((ext_vector_type(4)));
typedef uint32_t gk_u8 __attribute__((ext_vector_type(8)));
typedef uint32_t gk_u16 __attribute__((ext_vector_type(16)));

// The same for unaligned memory.
typedef float gk_f4_memory __attribute__((ext_vector_type(4), aligned(4)));
typedef float gk_f8_memory __attribute__((ext_vector_type(8), aligned(4)));
typedef float gk_f16_memory __attribute__((ext_vector_type(16), aligned(4)));
typedef int32_t gk_i4_memory __attribute__((ext_vector_type(4), aligned(4)));
typedef int32_t gk_i8_memory __attribute__((ext_vector_type(8), aligned(4)));
typedef int32_t gk_i16_memory __attribute__((ext_vector_type(16), aligned(4)));
typedef uint32_t gk_u4_memory __attribute__((ext_vector_type(4), aligned(4)));
typedef uint32_t gk_u8_memory __attribute__((ext_vector_type(8), aligned(4)));
typedef uint32_t gk_u16_memory __attribute__((ext_vector_type(16), aligned(4)));

GK_INLINE gk_f16 gk_load(const float *p) { return *(const gk_f16_memory *)p; }
GK_INLINE void gk_store(float *p, gk_f16 x) { *(gk_f16_memory *)p = x; }
GK_INLINE gk_f16 gk_splat(float x) { return (gk_f16)x; }
GK_INLINE gk_f16 gk_fma(gk_f16 a, gk_f16 b, gk_f16 c) { return __builtin_elementwise_fma(a, b, c); }

/// The numbers of the lanes.
#define GK_LANE_NUMBERS ((gk_i16){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})

/// `x` where the mask is all ones, 0 where it is 0.
GK_INLINE gk_f16 gk_keep(gk_i16 mask, gk_f16 x) {
    return __builtin_bit_cast(gk_f16, mask & __builtin_bit_cast(gk_i16, x));
}

/// Transposes a 4 × 4 block.
GK_INLINE void gk_transpose(gk_f4 x[4]) {
    const gk_f4 a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5);
    const gk_f4 b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5);
    const gk_f4 c = __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
    const gk_f4 d = __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
    x[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    x[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    x[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    x[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/// Sums of the lanes of four vectors. Each is summed in the same tree, whatever its place among the four.
GK_INLINE gk_f4 gk_sums(const gk_f16 x[4]) {
    gk_f4 quarter[4];
    for (int i = 0; i < 4; i++) {
        const gk_f8 half = x[i].lo + x[i].hi;
        quarter[i] = half.lo + half.hi;
    }
    gk_transpose(quarter);
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

/// The greater of two; `y` if either is NaN.
GK_INLINE gk_f16 gk_greater(gk_f16 x, gk_f16 y) { return x > y ? x : y; }

/// The greatest lane of a vector without NaN.
GK_INLINE float gk_greatest(gk_f16 x) {
    const gk_f8 half = x.lo > x.hi ? x.lo : x.hi;
    const gk_f4 quarter = half.lo > half.hi ? half.lo : half.hi;
    const float a = quarter[0] > quarter[1] ? quarter[0] : quarter[1];
    const float b = quarter[2] > quarter[3] ? quarter[2] : quarter[3];
    return a > b ? a : b;
}

/// e^x for -87.33 ≤ x ≤ 88.37. Error at most 3 ULP. The result for NaN is undefined.
GK_INLINE gk_f16 gk_exp(gk_f16 x) {
    // e^x = 2^n · 2^f with n integer and |f| ≤ 1/2. Adding 1.5 · 2^23 rounds to an integer and leaves n in the low
    // bits. log2(e) is split into two parts, so that the error of f is negligible.
    const gk_f16 magic = gk_splat(0x1.8p23f);
    const gk_f16 shifted = gk_fma(x, gk_splat(0x1.715476p+0f), magic);
    const gk_f16 n = shifted - magic;
    gk_f16 f = gk_fma(x, gk_splat(0x1.715476p+0f), -n);
    f = gk_fma(x, gk_splat(0x1.4ae0cp-26f), f);
    // Minimax polynomial of 2^f, relative error 9.4e-8.
    gk_f16 p = gk_fma(f, gk_splat(0x1.5bdabep-10f), gk_splat(0x1.3ce98ap-7f));
    p = gk_fma(p, f, gk_splat(0x1.c6b6dap-5f));
    p = gk_fma(p, f, gk_splat(0x1.ebf9cp-3f));
    p = gk_fma(p, f, gk_splat(0x1.62e42ap-1f));
    p = gk_fma(p, f, gk_splat(1.0f));
    // p · 2^n, by its exponent.
    const gk_i16 exponent = __builtin_bit_cast(gk_i16, shifted) << 23;
    return __builtin_bit_cast(gk_f16, __builtin_bit_cast(gk_i16, p) + exponent);
}

/// max(x, 0). NaN for NaN.
GK_INLINE gk_f16 gk_relu(gk_f16 x) { return x < gk_splat(0.0f) ? gk_splat(0.0f) : x; }

/// e^x for x ≤ 0, the weights of softmax: 0 below -87, where e^x < 2^-125; otherwise within 3 ULP. NaN for NaN.
/// Checked against double over the whole range by ExponentialTests.
GK_INLINE gk_f16 gk_exp_of_negative(gk_f16 x) {
    const gk_f16 least = gk_splat(-87.0f);
    const gk_f16 e = gk_exp(gk_greater(x, least));
    // Otherwise x is below -87 and becomes 0, or is NaN and stays NaN.
    return x >= least ? e : gk_relu(x);
}

/// x · sigmoid(x) = x / (1 + e^-x). Error at most 3 ULP, or 2^-120 where that is more: below -88.37, where the result
/// is smaller than that, x is clamped. Checked against double over the whole range by SiLUTests.
GK_INLINE gk_f16 gk_silu(gk_f16 x) {
    const gk_f16 least = gk_splat(-88.37f), most = gk_splat(87.0f);
    // Written so that NaN passes both.
    const gk_f16 numerator = x < least ? least : x;
    const gk_f16 clamped = numerator > most ? most : numerator;
    return numerator / (gk_exp(-clamped) + gk_splat(1.0f));
}

/// 0.5 · x · (1 + tanh(u)) with u = √(2/π) · (x + 0.044715 · x³). Since 1 + tanh(u) = 2 · sigmoid(2u), this is
/// x / (1 + e^-2u), in which nothing cancels. Error at most 6 ULP, or 2^-25 where that is more. Checked against double
/// over the whole range by EpilogueTests.
GK_INLINE gk_f16 gk_gelu_tanh(gk_f16 x) {
    // Beyond ±10 the result is 0 (to 2^-120) or x. Written so that NaN passes both.
    const gk_f16 least = gk_splat(-10.0f), most = gk_splat(10.0f);
    const gk_f16 numerator = x < least ? least : x;
    const gk_f16 c = numerator > most ? most : numerator;
    // 2 · √(2/π), and that times 0.044715.
    const gk_f16 twice = c * gk_fma(c * c, gk_splat(0x1.2444f2p-4f), gk_splat(0x1.988454p+0f));
    return numerator / (gk_exp(-twice) + gk_splat(1.0f));
}

/// max(x, -87), because SiLU's magnitude is less than 2^-119 below -87. NaN for NaN.
GK_INLINE gk_f16 gk_raised(gk_f16 x) { return x < gk_splat(-87.0f) ? gk_splat(-87.0f) : x; }

/// e^-x for x ≥ -87 in bfloat16's precision: relative error at most 2^-13. Above 87 the result is that of 87. The
/// result for NaN is undefined.
GK_INLINE gk_f16 gk_exp_of_minus_bf16(gk_f16 x) {
    const gk_f16 most = gk_splat(87.0f), magic = gk_splat(0x1.8p23f), clamped = x > most ? most : x;
    // As in gk_exp, with a minimax cubic (relative error 2^-13.7).
    const gk_f16 shifted = gk_fma(clamped, gk_splat(-0x1.715476p+0f), magic);
    const gk_f16 f = gk_fma(clamped, gk_splat(-0x1.715476p+0f), magic - shifted);
    gk_f16 p = gk_fma(f, gk_splat(0x1.c3f76p-5f), gk_splat(0x1.f0de1ap-3f));
    p = gk_fma(p, f, gk_splat(0x1.62f31ap-1f));
    p = gk_fma(p, f, gk_splat(0x1.fff692p-1f));
    const gk_i16 exponent = __builtin_bit_cast(gk_i16, shifted) << 23;
    return __builtin_bit_cast(gk_f16, __builtin_bit_cast(gk_i16, p) + exponent);
}

/// The bits of x rounded to bfloat16, to nearest with ties to even, in the low half of each lane. NaN stays NaN.
GK_INLINE gk_u16 gk_bf16_bits(gk_f16 x) {
    const gk_u16 bits = __builtin_bit_cast(gk_u16, x);
    const gk_u16 rounded = (bits + (0x7fffu + (bits >> 16 & 1u))) >> 16;
    // Rounding could carry a NaN's bits into the exponent or the sign. A true comparison is all ones.
    const gk_u16 is_nan = __builtin_bit_cast(gk_u16, x != x);
    return (is_nan & (bits >> 16 | 0x40u)) | (~is_nan & rounded);
}

#endif
