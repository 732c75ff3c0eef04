// Time differences, lane by lane, for levels whose vectors lack 64-bit maxima and conversions of 64-bit integers.

#ifndef GENREC_KERNEL_DISTANCES_H
#define GENREC_KERNEL_DISTANCES_H

/// Bits of max(1, |query - key|) as float32; the difference is taken without overflow and stays below 2^63.
GK_INLINE gk_u16 gk_distances(const int64_t *queries, int64_t key) {
    gk_u16 bits;
    for (int i = 0; i < 16; i++) {
        const int64_t q = queries[i];
        const uint64_t d = q > key ? (uint64_t)q - (uint64_t)key : (uint64_t)key - (uint64_t)q;
        const int64_t clamped = d > INT64_MAX ? INT64_MAX : d < 1 ? 1 : (int64_t)d;
        bits[i] = __builtin_bit_cast(uint32_t, (float)clamped);
    }
    return bits;
}

#endif
