// How softmax goes from one block of keys to the next, in every element type: each row's maximum rises, and what was summed
// below the old one fades (Milakov and Gimelshein, arXiv 1805.02867).

#ifndef GENREC_KERNEL_SOFTMAX_BLOCKS_H
#define GENREC_KERNEL_SOFTMAX_BLOCKS_H

#include "lanes.h"

/// Lanes are rows: the maximum of `most` and of `count` scores, (count, 16). Unless it is the first block, `total` and the
/// output, (columns, 16), fade by what the maximum rose.
GK_INLINE gk_f16 gk_raise_lanes(
    const float *scores, size_t count, int is_first, gk_f16 most, size_t columns, gk_f16 *total, float *output) {
    gk_f16 now = most;
    for (size_t j = 0; j < count; j++) now = gk_greater(gk_load(scores + 16 * j), now);
    if (is_first) return now;
    const gk_f16 faded = gk_exp_of_negative(most - now);
    *total *= faded;
    for (size_t c = 0; c < columns; c++) gk_store(output + 16 * c, gk_load(output + 16 * c) * faded);
    return now;
}

/// Lanes are keys: scales one row's `count` scores from key `begin` on and hides those that row `row` of the sequence does not
/// see; then the same for its maximum, total and output of `padded` columns. Returns the maximum.
GK_INLINE float gk_raise_row(
    const gk_attention_tile *tile, size_t row, size_t begin, size_t count, float *scores, float most, size_t padded,
    float *total, float *output) {
    gk_f16 now = gk_splat(most);
    for (size_t j = 0; j < count; j += 16) {
        gk_f16 x = gk_load(scores + j) * gk_splat(tile->scale);
        if (begin + j == 0) x += gk_keep(GK_LANE_NUMBERS == (gk_i16)0, gk_splat(tile->first_weight));
        x = gk_seen(x, row, begin + j, -__builtin_inff());
        gk_store(scores + j, x);
        now = gk_greater(x, now);
    }
    const float greatest = gk_greatest(now);
    if (begin == 0) return greatest;
    const gk_f16 faded = gk_exp_of_negative(gk_splat(most - greatest));
    *total *= faded[0];
    for (size_t c = 0; c < padded; c += 16) gk_store(output + c, gk_load(output + c) * faded);
    return greatest;
}

#endif
