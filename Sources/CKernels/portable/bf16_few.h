// The products of bfloat16 attention for few query rows. The lanes of a score are 16 keys and those of a value 16
// columns, so that a single row fills them. The bits are those of a tile of bf16_attention.h.

/// Scratch of a tile of few rows.
typedef struct {
    /// Pairs of columns of each row, (rows, query_columns / 2 rounded up to whole vectors).
    uint32_t *query; size_t query_words;
    /// (rows, padded), columns rounded up to whole vectors.
    float *output; size_t padded;
    /// (rows, gk_key_block)
    float *scores;
    /// Pairs of keys, (rows, gk_key_block / 2).
    uint32_t *weights;
} gk_few_pairs;

/// Divides the scratch, rounds the query and clears the output.
GK_INLINE gk_few_pairs gk_begin_few_pairs(const gk_attention_tile *tile) {
    const size_t columns = tile->query_columns, whole = columns & ~(size_t)15, rest = columns & 15;
    gk_few_pairs few = {.query = (uint32_t *)tile->scratch, .padded = (tile->value_columns + 15) / 16 * 16};
    few.query_words = (columns + 15) / 16 * 8;
    // gk_few_rows rows fit into the floats reserved for the query columns of a tile's 16 rows.
    few.output = tile->scratch + 16 * ((columns + 15) / 16 * 16);
    few.scores = few.output + gk_few_rows * few.padded;
    few.weights = (uint32_t *)(few.scores + gk_few_rows * gk_key_block);
    for (size_t r = 0; r < tile->rows; r++) {
        const float *in = tile->query + r * tile->query_stride;
        uint16_t *out = (uint16_t *)(few.query + r * few.query_words);
        for (size_t c = 0; c < whole; c += 16) gk_store_bf16(out + c, gk_load(in + c));
        if (rest) gk_store_bf16(out + whole, gk_load_part(in + whole, rest));
    }
    for (size_t c = 0; c < tile->rows * few.padded; c += 16) gk_store(few.output + c, gk_splat(0.0f));
    return few;
}

/// q · k + bias of `rows` rows from row `row` on and `pages` pages of keys from page `page` on; both counts are
/// constants.
GK_INLINE void gk_score_few_pages(
    const size_t rows, const size_t pages, const gk_attention_tile *tile, const gk_few_pairs *few, size_t row,
    size_t page, float *scores) {
    gk_f16 sum[4][8];
    const uint32_t *key[8], *query = few->query + row * few->query_words;
    GK_FULL_UNROLL for (size_t p = 0; p < pages; p++) {
        key[p] = gk_words_of(tile, page + p);
        GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
            sum[r][p] =
                tile->bias ? gk_load(tile->bias + 16 * (tile->rows * (page + p) + row + r)) : gk_splat(0.0f);
    }
    for (size_t c = 0; 2 * c < tile->query_columns; c++) {
        gk_u16 k[8];
        GK_FULL_UNROLL for (size_t p = 0; p < pages; p++) {
            k[p] = gk_load_words(key[p] + 16 * c);
            // The page's values follow its keys, and are needed next.
            __builtin_prefetch(key[p] + 16 * c + gk_key_words(tile->query_columns), 0, 2);
        }
        GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) {
            const gk_u16 q = (gk_u16)query[r * few->query_words + c];
            GK_FULL_UNROLL for (size_t p = 0; p < pages; p++) sum[r][p] = gk_dot_pairs_16(sum[r][p], q, k[p]);
        }
    }
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t p = 0; p < pages; p++)
            gk_store(scores + gk_key_block * (row + r) + 16 * p, sum[r][p]);
}

/// The same for all rows and `count` keys from key `begin` on.
static void gk_score_few_block(const gk_attention_tile *tile, const gk_few_pairs *few, size_t begin, size_t count) {
    const size_t pages = (count + 15) / 16;
    for (size_t row = 0; row < tile->rows;) {
        const size_t rows = tile->rows - row < 4 ? tile->rows - row : 4;
        size_t p = 0;
#define GK_STEP(r, n)                                                    \
    for (; r * n <= GK_FEW_SCORES && p + n <= pages; p += n)              \
        gk_score_few_pages(r, n, tile, few, row, begin / 16 + p, few->scores + 16 * p);
        switch (rows) {
        case 1: GK_STEP(1, 8) GK_STEP(1, 4) GK_STEP(1, 1) break;
        case 2: GK_STEP(2, 4) GK_STEP(2, 1) break;
        case 3: GK_STEP(3, 4) GK_STEP(3, 1) break;
        default: GK_STEP(4, 4) GK_STEP(4, 1) break;
        }
#undef GK_STEP
        row += rows;
    }
}

/// Adds `count` weighted values from key `begin` on to `vectors` vectors, from column `first` on, of the outputs of
/// `rows` rows from row `row` on. `rows`, `vectors` and `is_part` (the last vector has only `part` columns) are
/// constants.
GK_INLINE void gk_add_few_pairs(
    const size_t rows, const size_t vectors, const int is_part, size_t part, const gk_attention_tile *tile,
    const gk_few_pairs *few, size_t row, size_t begin, size_t count, size_t first) {
    gk_f16 sum[4][8];
    float *output = few->output + row * few->padded + first;
    const uint32_t *weight = few->weights + row * (gk_key_block / 2);
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = gk_load(output + few->padded * r + 16 * v);
    for (size_t j = 0; j < count; j += 16) {
        const uint32_t *value = gk_words_of(tile, (begin + j) / 16) + gk_key_words(tile->query_columns) + first;
        const size_t pairs = count - j < 16 ? (count - j + 1) / 2 : 8;
        for (size_t p = 0; p < pairs; p++, value += tile->value_columns, weight++) {
            gk_u16 x[8];
            GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)
                x[v] = is_part && v == vectors - 1
                    ? __builtin_bit_cast(gk_u16, gk_load_part((const float *)(value + 16 * v), part))
                    : gk_load_words(value + 16 * v);
            GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) {
                const gk_u16 w = (gk_u16)weight[gk_key_block / 2 * r];
                GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = gk_dot_pairs_16(sum[r][v], w, x[v]);
            }
        }
    }
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) gk_store(output + few->padded * r + 16 * v, sum[r][v]);
}

/// The same for all rows and columns.
static void gk_add_few_block(const gk_attention_tile *tile, const gk_few_pairs *few, size_t begin, size_t count) {
    const size_t vectors = (tile->value_columns + 15) / 16, rest = tile->value_columns & 15;
    for (size_t row = 0; row < tile->rows;) {
        const size_t rows = tile->rows - row < 4 ? tile->rows - row : 4;
        size_t v = 0;
#define GK_STEP(r, n)                                                                                                \
    for (; r * n <= GK_FEW_VALUES && v + n <= vectors; v += n) {                                                     \
        if (rest && v + n == vectors) gk_add_few_pairs(r, n, 1, rest, tile, few, row, begin, count, 16 * v);         \
        else gk_add_few_pairs(r, n, 0, 0, tile, few, row, begin, count, 16 * v);                                     \
    }
        switch (rows) {
        case 1: GK_STEP(1, 8) GK_STEP(1, 4) GK_STEP(1, 2) GK_STEP(1, 1) break;
        case 2: GK_STEP(2, 4) GK_STEP(2, 2) GK_STEP(2, 1) break;
        case 3: GK_STEP(3, 4) GK_STEP(3, 2) GK_STEP(3, 1) break;
        default: GK_STEP(4, 4) GK_STEP(4, 2) GK_STEP(4, 1) break;
        }
#undef GK_STEP
        row += rows;
    }
}

void GK_KERNEL(gk_bf16_hstu_few_16)(const gk_attention_tile *tile) {
    const size_t keys = tile->first + tile->rows;
    const gk_few_pairs few = gk_begin_few_pairs(tile);
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_few_block(tile, &few, begin, count);
        for (size_t r = 0; r < tile->rows; r++) {
            const float *scores = few.scores + gk_key_block * r;
            uint16_t *weights = (uint16_t *)(few.weights + gk_key_block / 2 * r);
            for (size_t j = 0; j < count; j += 16)
                gk_store_bf16(
                    weights + j, gk_seen(gk_silu_bf16(gk_load(scores + j)), tile->first + r, begin + j, 0.0f));
        }
        gk_add_few_block(tile, &few, begin, count);
    }
    float factors[gk_few_rows];
    for (size_t r = 0; r < gk_few_rows; r++) factors[r] = tile->scale;
    gk_rows_out(tile, few.output, few.padded, factors);
}

void GK_KERNEL(gk_bf16_softmax_few_16)(const gk_attention_tile *tile) {
    const size_t keys = tile->first + tile->rows, rows = tile->rows;
    const gk_few_pairs few = gk_begin_few_pairs(tile);
    float most[gk_few_rows], total[gk_few_rows];
    for (size_t r = 0; r < gk_few_rows; r++) {
        most[r] = -__builtin_inff();
        total[r] = 0.0f;
    }
    for (size_t begin = 0; begin < keys; begin += gk_key_block) {
        const size_t count = keys - begin < gk_key_block ? keys - begin : gk_key_block;
        gk_score_few_block(tile, &few, begin, count);
        for (size_t r = 0; r < rows; r++) {
            float *scores = few.scores + gk_key_block * r;
            uint16_t *weights = (uint16_t *)(few.weights + gk_key_block / 2 * r);
            most[r] = gk_raise_row(
                tile, tile->first + r, begin, count, scores, most[r], few.padded, &total[r],
                few.output + few.padded * r);
            for (size_t j = 0; j < count; j += 16) {
                const gk_f16 weight = gk_exp_of_negative(gk_load(scores + j) - gk_splat(most[r]));
                gk_store(scores + j, weight);
                gk_store_bf16(weights + j, weight);
            }
            // In the order in which a tile adds them.
            for (size_t j = 0; j < count; j++) total[r] += scores[j];
        }
        gk_add_few_block(tile, &few, begin, count);
    }
    for (size_t r = 0; r < rows; r++) total[r] = 1.0f / total[r];
    gk_rows_out(tile, few.output, few.padded, total);
}
