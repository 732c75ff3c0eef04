// The products of attention for few query rows. The lanes of a score are sixteen keys and those of a value sixteen
// columns, so that a single row fills them. This is for new events after a cached history, where the tiles of
// f32_attention.h would compute sixteen rows for one. Every score and every sum is the same chain of fused
// multiply-adds as there, over columns and over keys in increasing order, so the results have the same bits. The
// including file sets GK_FEW_SCORES and GK_FEW_VALUES, the numbers of accumulators that fit its registers for the two
// products.

enum {
    /// The number of rows that share each load.
    gk_shared_rows = 4,
    gk_block_groups = gk_key_block / gk_page_rows,
};

/// Scratch of a tile of few rows.
typedef struct {
    /// (query_columns, rows) for each group of up to gk_shared_rows rows.
    float *query;
    /// (rows, padded), columns rounded up to whole vectors.
    float *output; size_t padded;
    /// (rows, gk_key_block)
    float *scores;
    /// (gk_block_groups, query_columns, 16): own keys, transposed like pages.
    float *keys;
} gk_few_scratch;

GK_INLINE size_t gk_shared_count(size_t rows, size_t first) {
    return rows - first < gk_shared_rows ? rows - first : gk_shared_rows;
}

/// Divides the scratch, transposes the query and clears the output.
GK_INLINE gk_few_scratch gk_begin_few(const gk_attention_tile *tile) {
    gk_few_scratch few = {.query = tile->scratch, .padded = (tile->value_columns + 15) / 16 * 16};
    few.output = few.query + 16 * tile->query_columns;
    few.scores = few.output + 16 * few.padded;
    few.keys = few.scores + 16 * gk_key_block;
    for (size_t first = 0; first < tile->rows; first += gk_shared_rows) {
        const size_t rows = gk_shared_count(tile->rows, first);
        float *query = few.query + first * tile->query_columns;
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < tile->query_columns; c++)
                query[rows * c + r] = tile->query[(first + r) * tile->query_stride + c];
    }
    for (size_t c = 0; c < tile->rows * few.padded; c += 16) gk_store(few.output + c, gk_splat(0.0f));
    return few;
}

/// Sixteen keys from key `begin` on, a multiple of 16, as (query_columns, 16): a page if it holds them all; otherwise
/// `turned`, filled with the cached keys of a partial page and then own keys, transposed. Lanes beyond the tile's last
/// key are undefined.
GK_INLINE const float *gk_keys_of(const gk_attention_tile *tile, size_t begin, float *turned) {
    if (begin + 16 <= tile->cached) return gk_page_of(tile, begin);
    const size_t keys = tile->first + tile->rows - begin < 16 ? tile->first + tile->rows - begin : 16;
    const size_t columns = tile->query_columns, step = tile->key_stride;
    if (begin >= tile->cached) {
        gk_rows_to_lanes(tile->key + (begin - tile->cached) * step, step, keys, columns, turned);
        return turned;
    }
    const float *page = gk_page_of(tile, begin);
    const size_t cached = tile->cached - begin;
    for (size_t c = 0; c < columns; c++) {
        gk_store(turned + 16 * c, gk_load(page + 16 * c));
        for (size_t j = cached; j < keys; j++) turned[16 * c + j] = tile->key[(j - cached) * step + c];
    }
    return turned;
}

/// Adds q · k of `rows` rows and `groups` sixteens of keys, both constants, to the scores, (rows, gk_key_block).
GK_INLINE void gk_score_groups(
    const size_t rows, const size_t groups, size_t columns, const float *query, const float *const *key,
    float *scores) {
    gk_f16 sum[gk_shared_rows][gk_block_groups];
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t g = 0; g < groups; g++) sum[r][g] = gk_load(scores + gk_key_block * r + 16 * g);
    for (size_t c = 0; c < columns; c++) {
        gk_f16 k[gk_block_groups];
        GK_FULL_UNROLL for (size_t g = 0; g < groups; g++) {
            k[g] = gk_load(key[g] + 16 * c);
            // The page's values follow its keys, and are needed next.
            __builtin_prefetch(key[g] + 16 * (columns + c), 0, 2);
        }
        GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) {
            const gk_f16 q = gk_splat(query[rows * c + r]);
            GK_FULL_UNROLL for (size_t g = 0; g < groups; g++) sum[r][g] = gk_fma(k[g], q, sum[r][g]);
        }
    }
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t g = 0; g < groups; g++) gk_store(scores + gk_key_block * r + 16 * g, sum[r][g]);
}

/// The same for any number of groups, and 1 to gk_shared_rows rows.
static void gk_score_shared(
    size_t rows, size_t groups, size_t columns, const float *query, const float *const *key, float *scores) {
    size_t g = 0;
#define GK_STEP(r, n)                                  \
    for (; r * n <= GK_FEW_SCORES && g + n <= groups; g += n) \
        gk_score_groups(r, n, columns, query, key + g, scores + 16 * g);
#define GK_CASE(r) \
    case r: GK_STEP(r, 8) GK_STEP(r, 4) GK_STEP(r, 2) GK_STEP(r, 1) return;
    switch (rows) {
        GK_CASE(1) GK_CASE(2) GK_CASE(3) GK_CASE(4)
    default: return;
    }
#undef GK_CASE
#undef GK_STEP
}

/// q · k + bias of all rows of the tile and `count` keys from key `begin` on.
GK_INLINE void gk_score_few(const gk_attention_tile *tile, const gk_few_scratch *few, size_t begin, size_t count) {
    const size_t groups = (count + 15) / 16;
    const float *key[gk_block_groups];
    for (size_t g = 0; g < groups; g++) {
        key[g] = gk_keys_of(tile, begin + 16 * g, few->keys + 16 * tile->query_columns * g);
        const float *bias = tile->bias ? tile->bias + tile->rows * (begin + 16 * g) : NULL;
        for (size_t r = 0; r < tile->rows; r++)
            gk_store(few->scores + gk_key_block * r + 16 * g, bias ? gk_load(bias + 16 * r) : gk_splat(0.0f));
    }
    for (size_t first = 0; first < tile->rows; first += gk_shared_rows)
        gk_score_shared(
            gk_shared_count(tile->rows, first), groups, tile->query_columns,
            few->query + first * tile->query_columns, key, few->scores + gk_key_block * first);
}

/// Adds the weighted values of some runs to `vectors` vectors, from column `first` on, of the outputs of `rows` rows
/// from row `row` on. `rows`, `vectors` and `is_part` (the last vector has only `part` columns) are constants.
GK_INLINE void gk_add_vectors(
    const size_t rows, const size_t vectors, const int is_part, size_t part, const gk_few_scratch *few, size_t row,
    const gk_run *runs, size_t count, size_t first, const float *const *ahead) {
    gk_f16 sum[gk_shared_rows][8];
    float *output = few->output + row * few->padded + first;
    const float *weight = few->scores + row * gk_key_block;
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = gk_load(output + few->padded * r + 16 * v);
    for (size_t run = 0; run < count; run++) {
        const float *value = runs[run].value + first;
        const size_t stride = runs[run].stride, keys = runs[run].keys;
        const float *next = ahead ? ahead[run] : NULL;
        for (size_t j = 0; j < keys; j++, value += stride, weight++) {
            gk_f16 x[8];
            if (next) {
                GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) __builtin_prefetch(next + 16 * v, 0, 2);
                next += 16 * vectors;
            }
            GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++)
                x[v] = is_part && v == vectors - 1 ? gk_load_part(value + 16 * v, part) : gk_load(value + 16 * v);
            GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) {
                const gk_f16 w = gk_splat(weight[gk_key_block * r]);
                GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = gk_fma(x[v], w, sum[r][v]);
            }
        }
    }
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++)
        GK_FULL_UNROLL for (size_t v = 0; v < vectors; v++) gk_store(output + few->padded * r + 16 * v, sum[r][v]);
}

/// The same for any number of columns, and 1 to gk_shared_rows rows.
static void gk_add_shared(
    size_t rows, size_t columns, const gk_few_scratch *few, size_t row, const gk_run *runs, size_t count,
    const float *const *ahead) {
    const size_t vectors = (columns + 15) / 16, rest = columns & 15;
    size_t v = 0;
#define GK_STEP(r, n)                                                                \
    for (; r * n <= GK_FEW_VALUES && v + n <= vectors; v += n) {                     \
        if (rest && v + n == vectors) gk_add_vectors(r, n, 1, rest, few, row, runs, count, 16 * v, v ? NULL : ahead); \
        else gk_add_vectors(r, n, 0, 0, few, row, runs, count, 16 * v, v ? NULL : ahead);              \
    }
#define GK_CASE(r) \
    case r: GK_STEP(r, 8) GK_STEP(r, 4) GK_STEP(r, 2) GK_STEP(r, 1) return;
    switch (rows) {
        GK_CASE(1) GK_CASE(2) GK_CASE(3) GK_CASE(4)
    default: return;
    }
#undef GK_CASE
#undef GK_STEP
}

/// Adds `count` weighted values from key `begin` on to the outputs.
GK_INLINE void gk_add_few(const gk_attention_tile *tile, const gk_few_scratch *few, size_t begin, size_t count) {
    gk_run runs[gk_most_runs];
    const size_t number = gk_runs_of(tile, begin, count, runs);
    // The keys of the next block, which are needed after these values.
    const float *ahead[gk_most_runs];
    for (size_t run = 0; run < number; run++) {
        const size_t key = begin + gk_key_block + gk_page_rows * run;
        ahead[run] = key < tile->cached ? gk_page_of(tile, key) : NULL;
    }
    for (size_t first = 0; first < tile->rows; first += gk_shared_rows)
        gk_add_shared(
            gk_shared_count(tile->rows, first), tile->value_columns, few, first, runs, number, first ? NULL : ahead);
}

/// Adds `count` weights of each of `rows` rows (a constant) to its total, one after another.
GK_INLINE void gk_add_weights(const size_t rows, const float *weight, size_t count, float *totals) {
    float sum[gk_shared_rows];
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) sum[r] = totals[r];
    for (size_t j = 0; j < count; j++)
        GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) sum[r] += weight[gk_key_block * r + j];
    GK_FULL_UNROLL for (size_t r = 0; r < rows; r++) totals[r] = sum[r];
}

/// The same for the rows of a tile.
GK_INLINE void gk_add_totals(size_t rows, const float *weight, size_t count, float *totals) {
    for (size_t first = 0; first < rows; first += gk_shared_rows) {
        const float *from = weight + gk_key_block * first;
        switch (gk_shared_count(rows, first)) {
        case 1: gk_add_weights(1, from, count, totals + first); break;
        case 2: gk_add_weights(2, from, count, totals + first); break;
        case 3: gk_add_weights(3, from, count, totals + first); break;
        default: gk_add_weights(4, from, count, totals + first); break;
        }
    }
}
