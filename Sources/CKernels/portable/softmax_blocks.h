// Carries softmax from one block of keys to the next, for every element type: when the maximum of a row rises, the sums
// relative to the old maximum shrink (Milakov and Gimelshein, arXiv 1805.02867).

#ifndef GENREC_KERNEL_SOFTMAX_BLOCKS_H
#define GENREC_KERNEL_SOFTMAX_BLOCKS_H

#include "lanes.h"

/// Lanes are rows. Returns the maximum of `most` and of `count` scores, (count, 16). Unless it is the first block,
/// `total` and the output, (columns, 16), shrink by the rise of the maximum.
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

/// The number of shared keys that a tile's last row attends to.
GK_INLINE size_t gk_tile_keys(const gk_attention_tile *tile) {
    return tile->lane_keys ? tile->cached : tile->first + tile->rows;
}

/// Adds a block of each row's own keys; `query` is (query_columns, 16). Returns the totals of the rows.
GK_INLINE gk_f16 gk_add_lane_keys(
    const gk_attention_tile *tile, const float *query, gk_f16 most, gk_f16 total, float *scores, float *output) {
    const size_t count = tile->lane_keys, columns = tile->query_columns, value_columns = tile->value_columns;
    for (size_t j = 0; j < count; j++) {
        const float *key = tile->lane_key + 16 * columns * j;
        gk_f16 sum = gk_splat(0.0f);
        for (size_t c = 0; c < columns; c++) sum = gk_fma(gk_load(key + 16 * c), gk_load(query + 16 * c), sum);
        gk_store(scores + 16 * j, sum * gk_splat(tile->scale));
    }
    const gk_f16 now = gk_raise_lanes(scores, count, 0, most, value_columns, &total, output);
    for (size_t j = 0; j < count; j++) {
        const gk_f16 weight = gk_exp_of_negative(gk_load(scores + 16 * j) - now);
        gk_store(scores + 16 * j, weight);
        total += weight;
    }
    for (size_t c = 0; c < value_columns; c++) {
        gk_f16 sum = gk_load(output + 16 * c);
        for (size_t j = 0; j < count; j++)
            sum = gk_fma(gk_load(tile->lane_value + 16 * (value_columns * j + c)), gk_load(scores + 16 * j), sum);
        gk_store(output + 16 * c, sum);
    }
    return total;
}

/// Lanes are keys: scales one row's `count` scores from key `begin` on and hides those that row `row` of the sequence
/// does not attend to; then raises the row's maximum and shrinks its total and its output of `padded` columns. Returns
/// the maximum.
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
