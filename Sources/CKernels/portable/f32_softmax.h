// Softmax attention for one tile: up to 16 query rows with the products of f32_attention.h, or few rows with those of
// f32_few.h. The maximum and the sum of each row are carried from one block of keys to the next (Milakov and
// Gimelshein, arXiv 1805.02867), so memory never holds the scores of more than one block.

#include "softmax_blocks.h"

void GK_KERNEL(gk_f32_softmax_16)(const gk_attention_tile *tile) {
    const size_t keys = gk_tile_keys(tile), columns = tile->value_columns;
    float *query = tile->scratch;                          // (query_columns, 16)
    float *output = query + 16 * tile->query_columns;      // (value_columns, 16)
    float *scores = output + 16 * columns;                 // (gk_key_block, 16)
    gk_rows_to_lanes(tile->query, tile->query_stride, tile->rows, tile->query_columns, query);
    for (size_t c = 0; c < columns; c++) gk_store(output + 16 * c, gk_splat(0.0f));

    // The blocks of a row start at its sequence's first key, and keys that it does not attend to have weight exactly 0.
    // Its result therefore does not depend on its tile.
    gk_f16 most = gk_splat(-__builtin_inff()), total = gk_splat(0.0f);
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_block(gk_weigh_scaled, tile, query, begin, count, -__builtin_inff(), scores);
        if (begin == 0) gk_store(scores, gk_load(scores) + gk_splat(tile->first_weight));

        const gk_f16 now = gk_raise_lanes(scores, count, begin == 0, most, columns, &total, output);
        for (size_t j = 0; j < count; j++) {
            const gk_f16 weight = gk_exp_of_negative(gk_load(scores + 16 * j) - now);
            gk_store(scores + 16 * j, weight);
            total += weight;
        }
        most = now;
        gk_add_block(tile, scores, begin, count, output);
    }
    if (tile->lane_keys) total = gk_add_lane_keys(tile, query, most, total, scores, output);
    const gk_f16 factor = gk_splat(1.0f) / total;
    for (size_t c = 0; c < columns; c++) gk_store(output + 16 * c, gk_load(output + 16 * c) * factor);
    gk_lanes_to_rows(output, tile->rows, columns, 1.0f, tile->output, tile->output_stride);
}

void GK_KERNEL(gk_f32_softmax_few_16)(const gk_attention_tile *tile) {
    const size_t keys = tile->first + tile->rows, rows = tile->rows;
    const gk_few_scratch few = gk_begin_few(tile);
    float most[gk_few_rows], total[gk_few_rows];
    for (size_t r = 0; r < gk_few_rows; r++) {
        most[r] = -__builtin_inff();
        total[r] = 0.0f;
    }
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_few(tile, &few, begin, count);
        for (size_t r = 0; r < rows; r++) {
            float *scores = few.scores + gk_key_block * r;
            most[r] = gk_raise_row(
                tile, tile->first + r, begin, count, scores, most[r], few.padded, &total[r],
                few.output + few.padded * r);
            for (size_t j = 0; j < count; j += 16)
                gk_store(scores + j, gk_exp_of_negative(gk_load(scores + j) - gk_splat(most[r])));
        }
        gk_add_totals(rows, few.scores, count, total);
        gk_add_few(tile, &few, begin, count);
    }
    for (size_t r = 0; r < rows; r++) total[r] = 1.0f / total[r];
    gk_rows_out(tile, few.output, few.padded, total);
}
