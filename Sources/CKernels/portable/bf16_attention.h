// Attention in bfloat16: the code shared by HSTU and softmax attention. Keys and values are in pages of 16 rows, either
// cached or packed for the batch. For each head a page holds the keys as (query_columns / 2, 16) pairs of columns, then
// the values as (8, value_columns) pairs of rows. The lanes of a tile are query rows, and keys and values are
// broadcast; the lanes of few rows are keys and then value columns. Either way, every score is one chain over the pairs
// of columns, every output is one chain over the pairs of rows, both in increasing order, and weights are rounded to
// bfloat16 in the same way. The results therefore have the same bits.

#include "epilogue.h"
#include "softmax_blocks.h"

GK_INLINE gk_u16 gk_load_words(const uint32_t *p) { return *(const gk_u16_memory *)p; }
GK_INLINE void gk_store_words(uint32_t *p, gk_u16 x) { *(gk_u16_memory *)p = x; }

/// Words of a page's keys.
GK_INLINE size_t gk_key_words(size_t columns) { return gk_page_rows * ((columns + 1) / 2); }

/// The tile's head in page p, which holds the keys from 16 · p on: a page of the pool, or one packed for the batch.
GK_INLINE const uint32_t *gk_words_of(const gk_attention_tile *tile, size_t p) {
    const size_t pooled = tile->cached / gk_page_rows;
    if (p < pooled) return (const uint32_t *)tile->pool + (size_t)tile->pages[p] * tile->page_floats;
    return tile->own + (p - pooled) * tile->own_words;
}

/// (rows ≤ 16, columns) → pairs of columns, (columns / 2, 16); lanes without a row are 0. `words` is scratch of
/// 16 · columns, with columns rounded up to whole vectors.
GK_INLINE void gk_rows_to_pairs(
    const float *x, size_t stride, size_t rows, size_t columns, float *words, uint32_t *output) {
    const size_t row_words = (columns + 15) / 16 * 8;
    GK_KERNEL(gk_bf16_round_1x16)(rows, columns, x, stride, words, row_words);
    // Words are moved as floats, without arithmetic.
    gk_rows_to_lanes(words, row_words, rows, (columns + 1) / 2, (float *)output);
}

void GK_KERNEL(gk_bf16_page_16)(
    size_t rows, const float *key, size_t key_stride, size_t key_columns, const float *value, size_t value_stride,
    size_t value_columns, float *scratch, uint32_t *page) {
    gk_rows_to_pairs(key, key_stride, rows, key_columns, scratch, page);
    const size_t whole = value_columns & ~(size_t)15, rest = value_columns & 15;
    const gk_f16 zero = gk_splat(0.0f);
    page += gk_key_words(key_columns);
    for (size_t r = 0; r < 16; r += 2, page += value_columns) {
        const float *low = r < rows ? value + r * value_stride : NULL;
        const float *high = r + 1 < rows ? value + (r + 1) * value_stride : NULL;
        for (size_t c = 0; c < whole; c += 16)
            gk_store_words(page + c, gk_pair_bf16(low ? gk_load(low + c) : zero, high ? gk_load(high + c) : zero));
        if (!rest) continue;
        const gk_u16 words = gk_pair_bf16(
            low ? gk_load_part(low + whole, rest) : zero, high ? gk_load_part(high + whole, rest) : zero);
        gk_store_part((float *)(page + whole), __builtin_bit_cast(gk_f16, words), rest);
    }
}

// MARK: Tiles

/// Scratch of a tile.
typedef struct {
    /// Pairs of columns, (query_columns / 2, 16).
    uint32_t *query;
    /// (value_columns, 16)
    float *output;
    /// Scores of a block of keys, softmax only: (gk_key_block, 16).
    float *scores;
    /// Pairs of keys, (gk_key_block / 2, 16).
    uint32_t *weights;
} gk_pair_scratch;

GK_INLINE gk_pair_scratch gk_begin_pairs(const gk_attention_tile *tile) {
    gk_pair_scratch part = {.query = (uint32_t *)tile->scratch};
    part.output = tile->scratch + 16 * tile->query_columns;
    part.scores = part.output + 16 * tile->value_columns;
    // In the region where few rows keep transposed keys.
    part.weights = (uint32_t *)(part.scores + 16 * gk_key_block);
    gk_rows_to_pairs(
        tile->query, tile->query_stride, tile->rows, tile->query_columns, (float *)part.weights, part.query);
    for (size_t c = 0; c < tile->value_columns; c++) gk_store(part.output + 16 * c, gk_splat(0.0f));
    return part;
}

/// x in the lanes whose rows attend to key `key`, `unseen` in the others.
GK_INLINE gk_f16 gk_seen_by(gk_f16 x, const gk_attention_tile *tile, size_t key, float unseen) {
    if (tile->lane_keys) return key < tile->cached ? x : gk_splat(unseen);
    return GK_LANE_NUMBERS >= (gk_i16)((int32_t)key - (int32_t)tile->first) ? x : gk_splat(unseen);
}

/// From q · k + bias of GK_BF16_KEYS keys from key `begin` on, computes HSTU's weights as pairs, or the scaled scores
/// of softmax. `is_hstu` and `is_masked` (some rows do not attend to some of the keys) are constants.
GK_INLINE void gk_score_pairs(
    const int is_hstu, const int is_masked, const gk_attention_tile *tile, const uint32_t *query, const uint32_t *key,
    size_t begin, uint32_t *weights, float *scores) {
    gk_f16 sum[GK_BF16_KEYS];
    const float *bias = tile->bias ? tile->bias + 16 * begin : NULL;
    GK_FULL_UNROLL for (size_t j = 0; j < GK_BF16_KEYS; j++) sum[j] = bias ? gk_load(bias + 16 * j) : gk_splat(0.0f);
    for (size_t c = 0; c < tile->query_columns; c += 2, query += 16, key += 16) {
        const gk_u16 q = gk_load_words(query);
        GK_FULL_UNROLL for (size_t j = 0; j < GK_BF16_KEYS; j++) sum[j] = gk_dot_pairs_16(sum[j], q, (gk_u16)key[j]);
    }
    GK_FULL_UNROLL for (size_t j = 0; j < GK_BF16_KEYS; j++) {
        sum[j] = is_hstu ? gk_silu_bf16(sum[j]) : sum[j] * gk_splat(tile->scale);
        if (is_masked) sum[j] = gk_seen_by(sum[j], tile, begin + j, is_hstu ? 0.0f : -__builtin_inff());
        if (!is_hstu) gk_store(scores + 16 * j, sum[j]);
    }
    if (!is_hstu) return;
    GK_FULL_UNROLL for (size_t j = 0; j < GK_BF16_KEYS; j += 2)
        gk_store_words(weights + 8 * j, gk_pair_bf16(sum[j], sum[j + 1]));
}

/// The same for the `count` keys of a block, rounded up to whole pairs.
GK_INLINE void gk_score_pair_block(
    const int is_hstu, const gk_attention_tile *tile, const gk_pair_scratch *part, size_t begin, size_t count) {
    for (size_t j = 0; j < count; j += GK_BF16_KEYS) {
        const uint32_t *key = gk_words_of(tile, (begin + j) / 16) + (begin + j) % 16;
        uint32_t *weights = part->weights + 8 * j;
        float *scores = part->scores + 16 * j;
        if (begin + j + GK_BF16_KEYS <= tile->first + 1)
            gk_score_pairs(is_hstu, 0, tile, part->query, key, begin + j, weights, scores);
        else gk_score_pairs(is_hstu, 1, tile, part->query, key, begin + j, weights, scores);
    }
}

/// Adds `count` weighted values from key `begin` on to `columns` (a constant) columns of the output from column
/// `first`.
GK_INLINE void gk_add_pairs(
    const size_t columns, const gk_attention_tile *tile, const uint32_t *weights, size_t begin, size_t count,
    size_t first, float *output) {
    gk_f16 sum[GK_VALUE_COLUMNS];
    GK_FULL_UNROLL for (size_t c = 0; c < columns; c++) sum[c] = gk_load(output + 16 * c);
    for (size_t j = 0; j < count; j += 16) {
        const uint32_t *value = gk_words_of(tile, (begin + j) / 16) + gk_key_words(tile->query_columns) + first;
        const size_t pairs = count - j < 16 ? (count - j + 1) / 2 : 8;
        for (size_t p = 0; p < pairs; p++, value += tile->value_columns, weights += 16) {
            const gk_u16 weight = gk_load_words(weights);
            GK_FULL_UNROLL for (size_t c = 0; c < columns; c++)
                sum[c] = gk_dot_pairs_16(sum[c], weight, (gk_u16)value[c]);
        }
    }
    GK_FULL_UNROLL for (size_t c = 0; c < columns; c++) gk_store(output + 16 * c, sum[c]);
}

/// The same for all columns, in the smallest number of equal shares that fit the registers.
static void gk_add_pair_block(
    const gk_attention_tile *tile, const gk_pair_scratch *part, size_t begin, size_t count) {
    const size_t columns = tile->value_columns;
    const size_t shares = (columns + GK_VALUE_COLUMNS - 1) / GK_VALUE_COLUMNS;
    const size_t share = (columns + shares - 1) / shares;
#define GK_CASE(n) \
    case n: gk_add_pairs(n, tile, part->weights, begin, count, c, part->output + 16 * c); break;
    for (size_t c = 0; c < columns; c += share)
        switch (columns - c < share ? columns - c : share) {
            GK_VALUE_CASES
        default: break;
        }
#undef GK_CASE
}

void GK_KERNEL(gk_bf16_hstu_16)(const gk_attention_tile *tile) {
    const size_t keys = tile->first + tile->rows;
    const gk_pair_scratch part = gk_begin_pairs(tile);
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_pair_block(1, tile, &part, begin, count);
        gk_add_pair_block(tile, &part, begin, count);
    }
    gk_lanes_to_rows(part.output, tile->rows, tile->value_columns, tile->scale, tile->output, tile->output_stride);
}

void GK_KERNEL(gk_bf16_softmax_16)(const gk_attention_tile *tile) {
    const size_t keys = gk_tile_keys(tile), columns = tile->value_columns;
    const gk_pair_scratch part = gk_begin_pairs(tile);
    gk_f16 most = gk_splat(-__builtin_inff()), total = gk_splat(0.0f);
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_pair_block(0, tile, &part, begin, count);
        float *scores = part.scores;
        if (begin == 0) gk_store(scores, gk_load(scores) + gk_splat(tile->first_weight));

        // No row attends to the key that pads the last pair.
        const gk_f16 now = gk_raise_lanes(scores, count, begin == 0, most, columns, &total, part.output);
        for (size_t j = 0; j < count; j += 2) {
            const gk_f16 low = gk_exp_of_negative(gk_load(scores + 16 * j) - now);
            const gk_f16 high = gk_exp_of_negative(gk_load(scores + 16 * (j + 1)) - now);
            total = (total + low) + high;
            gk_store_words(part.weights + 8 * j, gk_pair_bf16(low, high));
        }
        most = now;
        gk_add_pair_block(tile, &part, begin, count);
    }
    if (tile->lane_keys) {
        // The pairs of the query are no longer needed.
        float *query = tile->scratch;
        gk_rows_to_lanes(tile->query, tile->query_stride, tile->rows, tile->query_columns, query);
        total = gk_add_lane_keys(tile, query, most, total, part.scores, part.output);
    }
    const gk_f16 factor = gk_splat(1.0f) / total;
    for (size_t c = 0; c < columns; c++) gk_store(part.output + 16 * c, gk_load(part.output + 16 * c) * factor);
    gk_lanes_to_rows(part.output, tile->rows, columns, 1.0f, tile->output, tile->output_stride);
}

#include "bf16_few.h"
