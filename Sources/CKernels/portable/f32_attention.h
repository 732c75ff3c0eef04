// The code shared by HSTU and softmax attention: the bias of a tile of 16 query rows, and the two products of a block
// of keys. Lanes are query rows. Keys and values are broadcast directly from their tensors, so head widths need no
// padding, nothing is packed, and the sum over keys has the same order for every row. The including file sets
// GK_SCORE_KEYS and GK_VALUE_COLUMNS, the accumulators that fit its registers.

#include "lanes.h"

void GK_KERNEL(gk_s64_time_buckets_16)(
    const int64_t *query_times, const int64_t *key_times, size_t keys, const uint32_t *cells, uint8_t *buckets) {
    for (size_t j = 0; j < keys; j++) {
        const gk_u16 x = gk_distances(query_times, key_times[j]);
        // The upper 9 bits select a cell, a quarter of an octave, in which at most one bucket starts. The lower 21 bits
        // tell on which side of that start x is.
        const gk_u16 cell = gk_look_up_cells(cells, (x >> 21) - (127u << 2));
        const gk_i16 beyond = (x & 0x1fffffu) >= (cell & 0x1fffffu);
        // A true comparison is -1.
        const gk_u16 bucket = (cell >> 21) - 1u - __builtin_bit_cast(gk_u16, beyond);
        gk_store_bytes(buckets + 16 * j, bucket);
    }
}

void GK_KERNEL(gk_f32_bias_tile_16)(
    size_t keys, const uint8_t *buckets, const float *time, const float *position, float *bias) {
    if (!time) {
        for (size_t j = 0; j < keys; j++) gk_store(bias + 16 * j, gk_load(position - (ptrdiff_t)j));
        return;
    }
    gk_time_table table = gk_time_table_of(time);
    for (size_t j = 0; j < keys; j++)
        gk_store(
            bias + 16 * j,
            gk_look_up_time(&table, buckets + 16 * j) + gk_load(position - (ptrdiff_t)j));
}

/// The tile's head in the page of key j.
GK_INLINE const float *gk_page_of(const gk_attention_tile *tile, size_t j) {
    return tile->pool + (size_t)tile->pages[j / gk_page_rows] * tile->page_floats;
}

/// Values of consecutive keys, `stride` floats apart.
typedef struct { const float *value; size_t stride, keys; } gk_run;

/// A block of keys can span this many pages, plus the tensors.
enum { gk_most_runs = gk_key_block / gk_page_rows + 1 };

/// Finds the values of `count` keys from key `begin` on, a multiple of gk_key_block. Returns the number of runs.
GK_INLINE size_t gk_runs_of(const gk_attention_tile *tile, size_t begin, size_t count, gk_run *runs) {
    const size_t end = begin + count;
    size_t number = 0, j = begin;
    for (; j < end && j < tile->cached; j += gk_page_rows) {
        const size_t left = (tile->cached < end ? tile->cached : end) - j;
        runs[number++] = (gk_run){
            gk_page_of(tile, j) + gk_page_rows * tile->query_columns, tile->value_columns,
            left < gk_page_rows ? left : gk_page_rows};
    }
    if (end > tile->cached) {
        const size_t first = begin > tile->cached ? begin - tile->cached : 0;
        runs[number++] = (gk_run){
            tile->value + first * tile->value_stride, tile->value_stride, end - tile->cached - first};
    }
    return number;
}

/// What a sum q · k + bias becomes; a constant at every call.
typedef enum { gk_weigh_silu, gk_weigh_scaled } gk_weighing;

/// Weights of `keys` keys (a constant): (keys, 16). Element (j, c) of the keys is key[j · key_step + c · column_step].
/// `bias` is that of the first key, or NULL.
GK_INLINE void gk_score_keys(
    const size_t keys, const gk_weighing weighing, const gk_attention_tile *tile, const float *query, const float *key,
    const size_t key_step, const size_t column_step, const float *bias, float *scores) {
    gk_f16 sum[GK_SCORE_KEYS];
    GK_FULL_UNROLL for (size_t j = 0; j < keys; j++) sum[j] = bias ? gk_load(bias + 16 * j) : gk_splat(0.0f);
    for (size_t c = 0; c < tile->query_columns; c++) {
        const gk_f16 q = gk_load(query + 16 * c);
        GK_FULL_UNROLL for (size_t j = 0; j < keys; j++)
            sum[j] = gk_fma(gk_splat(key[j * key_step + c * column_step]), q, sum[j]);
    }
    GK_FULL_UNROLL for (size_t j = 0; j < keys; j++)
        gk_store(scores + 16 * j, weighing == gk_weigh_silu ? gk_silu(sum[j]) : sum[j] * gk_splat(tile->scale));
}

/// Adds the weighted values of some runs to `columns` (a constant) columns of the output, from column `first` on:
/// (columns, 16).
GK_INLINE void gk_add_values(
    const size_t columns, const float *scores, const gk_run *runs, size_t count, size_t first, float *output) {
    gk_f16 sum[GK_VALUE_COLUMNS];
    GK_FULL_UNROLL for (size_t c = 0; c < columns; c++) sum[c] = gk_load(output + 16 * c);
    for (size_t run = 0; run < count; run++) {
        const float *value = runs[run].value + first;
        const size_t stride = runs[run].stride, keys = runs[run].keys;
        for (size_t j = 0; j < keys; j++) {
            const gk_f16 weight = gk_load(scores + 16 * j);
            GK_FULL_UNROLL for (size_t c = 0; c < columns; c++)
                sum[c] = gk_fma(gk_splat(value[j * stride + c]), weight, sum[c]);
        }
        scores += 16 * keys;
    }
    GK_FULL_UNROLL for (size_t c = 0; c < columns; c++) gk_store(output + 16 * c, sum[c]);
}

static void gk_add_value_columns(
    size_t columns, const float *scores, const gk_run *runs, size_t count, size_t first, float *output) {
#define GK_CASE(n) \
    case n: gk_add_values(n, scores, runs, count, first, output); return;
    switch (columns) {
        GK_VALUE_CASES
    default: return;
    }
#undef GK_CASE
}

GK_INLINE void gk_score_some_keys(
    size_t keys, const gk_weighing weighing, const gk_attention_tile *tile, const float *query, const float *key,
    const float *bias, float *scores) {
#define GK_CASE(n) \
    case n: gk_score_keys(n, weighing, tile, query, key, tile->key_stride, 1, bias, scores); return;
    switch (keys) {
        GK_CASE(1) GK_CASE(2) GK_CASE(3) GK_CASE(4) GK_CASE(5)
#if GK_SCORE_KEYS > 6
        GK_CASE(6) GK_CASE(7)
#endif
    default: return;
    }
#undef GK_CASE
}

/// Weights of `count` keys from key `begin` on: (count, 16). Row first + l does not attend to later keys, which can
/// only be the tile's own; their weights are `unseen`.
GK_INLINE void gk_score_block(
    const gk_weighing weighing, const gk_attention_tile *tile, const float *query, size_t begin, size_t count,
    float unseen, float *scores) {
    const float *bias = tile->bias ? tile->bias + 16 * begin : NULL;
    size_t j = 0, cached = tile->cached > begin ? tile->cached - begin : 0;
    if (cached > count) cached = count;
    // The last page may hold fewer keys than are scored at a time. The excess is overwritten by own keys, or is beyond
    // the block's count.
    for (; j < cached; j += GK_PAGE_KEYS)
        gk_score_keys(
            GK_PAGE_KEYS, weighing, tile, query, gk_page_of(tile, begin + j) + j % gk_page_rows, 1, gk_page_rows,
            bias ? bias + 16 * j : NULL, scores + 16 * j);
    j = cached;
    // Own row 0 is key tile->cached.
    const float *key = tile->key + (tile->cached > begin ? 0 : begin - tile->cached) * tile->key_stride;
    for (; j + GK_SCORE_KEYS <= count; j += GK_SCORE_KEYS, key += GK_SCORE_KEYS * tile->key_stride)
        gk_score_keys(
            GK_SCORE_KEYS, weighing, tile, query, key, tile->key_stride, 1, bias ? bias + 16 * j : NULL,
            scores + 16 * j);
    gk_score_some_keys(count - j, weighing, tile, query, key, bias ? bias + 16 * j : NULL, scores + 16 * j);

    for (size_t k = begin > tile->first ? begin : tile->first + 1; k < begin + count; k++) {
        float *row = scores + 16 * (k - begin);
        gk_store(
            row, GK_LANE_NUMBERS >= (gk_i16)(int32_t)(k - tile->first) ? gk_load(row) : gk_splat(unseen));
    }
}

/// Adds `count` weighted values from key `begin` on to the output: (value_columns, 16).
GK_INLINE void gk_add_block(
    const gk_attention_tile *tile, const float *scores, size_t begin, size_t count, float *output) {
    gk_run runs[gk_most_runs];
    const size_t number = gk_runs_of(tile, begin, count, runs);
    // Value columns in the smallest number of equal shares that fit the registers.
    const size_t columns = tile->value_columns;
    const size_t shares = (columns + GK_VALUE_COLUMNS - 1) / GK_VALUE_COLUMNS;
    const size_t share = (columns + shares - 1) / shares;
    for (size_t c = 0; c < columns; c += share)
        gk_add_value_columns(columns - c < share ? columns - c : share, scores, runs, number, c, output + 16 * c);
}
