// HSTU attention for one tile: up to 16 query rows with the products of f32_attention.h, or few rows with those of
// f32_few.h.

void GK_KERNEL(gk_f32_hstu_16)(const gk_attention_tile *tile) {
    const size_t keys = tile->first + tile->rows, columns = tile->value_columns;
    float *query = tile->scratch;                          // (query_columns, 16)
    float *output = query + 16 * tile->query_columns;      // (value_columns, 16)
    float *scores = output + 16 * columns;                 // (gk_key_block, 16)
    gk_rows_to_lanes(tile->query, tile->query_stride, tile->rows, tile->query_columns, query);
    for (size_t c = 0; c < columns; c++) gk_store(output + 16 * c, gk_splat(0.0f));

    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_block(gk_weigh_silu, tile, query, begin, count, 0.0f, scores);
        gk_add_block(tile, scores, begin, count, output);
    }
    gk_lanes_to_rows(output, tile->rows, columns, tile->scale, tile->output, tile->output_stride);
}

void GK_KERNEL(gk_f32_hstu_few_16)(const gk_attention_tile *tile) {
    const size_t keys = tile->first + tile->rows;
    const gk_few_scratch few = gk_begin_few(tile);
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_few(tile, &few, begin, count);
        for (size_t r = 0; r < tile->rows; r++) {
            float *scores = few.scores + gk_key_block * r;
            for (size_t j = 0; j < count; j += 16)
                gk_store(scores + j, gk_seen(gk_silu(gk_load(scores + j)), tile->first + r, begin + j, 0.0f));
        }
        gk_add_few(tile, &few, begin, count);
    }
    float factors[gk_few_rows];
    for (size_t r = 0; r < gk_few_rows; r++) factors[r] = tile->scale;
    gk_rows_out(tile, few.output, few.padded, factors);
}
