// Attention over a jagged batch. A task is some heads of one query tile of one sequence. It computes the bias of the
// tile once, then the heads. A tile of few rows uses the kernels whose lanes are keys, and lays out its bias and
// buckets accordingly.

#include "CKernels.h"

#include <string.h>

static size_t blocks(size_t count, size_t block) { return (count + block - 1) / block; }
static size_t rounded(size_t count) { return blocks(count, gk_lanes) * gk_lanes; }

/// Rows of a sequence's first tile: the remainder after the other tiles take 16 rows each from the end.
static size_t first_tile_rows(size_t length) { return (length - 1) % gk_lanes + 1; }

size_t gk_attention_plan(gk_attention_sequence *sequences, size_t count, int last_only) {
    size_t tiles = 0;
    for (size_t b = 0; b < count; b++) {
        sequences[b].tiles = tiles;
        tiles += last_only ? 1 : blocks(sequences[b].rows, gk_lanes);
    }
    return tiles;
}

/// Bytes of the buckets of a sequence's first `tiles` tiles. Tile t covers first + 16·t own keys and all cached ones,
/// 16 bytes each; the first tile's keys are counted in whole vectors.
static size_t bucket_bytes(size_t cached, size_t rows, size_t tiles) {
    if (tiles == 0) return 0;
    const size_t keys = cached + first_tile_rows(rows), others = tiles - 1;
    return gk_lanes * (rounded(keys) + others * keys + gk_lanes * (others * (others + 1) / 2));
}

size_t gk_attention_bucket_bytes(size_t cached, size_t rows) {
    return bucket_bytes(cached, rows, blocks(rows, gk_lanes));
}

size_t gk_tile_scratch(size_t query_columns, size_t value_columns) {
    // The query, the output and a block of scores for 16 rows; a block of keys for few rows, or of a tile's weights as
    // pairs of bfloat16.
    const size_t columns = query_columns > gk_lanes / 2 ? query_columns : gk_lanes / 2;
    return gk_lanes * (query_columns + rounded(value_columns) + gk_key_block) + gk_key_block * columns;
}

/// Scratch of a worker: the kernel's scratch, the tile's bias and times, and its buckets, which are bytes.
size_t gk_attention_scratch(const gk_attention *job, size_t longest) {
    const size_t bias = gk_lanes * rounded(longest), times = 4 * gk_lanes, buckets = bias / 4;
    return gk_tile_scratch(job->query_columns, job->value_columns) + (job->position ? bias + times + buckets : 0);
}

size_t gk_attention_tasks(const gk_attention *job, size_t tiles) {
    return tiles * blocks(job->heads, job->task_heads);
}

/// A query tile: rows `row` ..< row + rows of its sequence.
typedef struct {
    const gk_attention_sequence *sequence;
    /// Its number in its sequence, and the sequence's in the batch.
    size_t number, b;
    size_t row, rows;
} query_tile;

static int is_few(const query_tile *tile) { return tile->rows <= gk_few_rows; }
static size_t keys_of(const query_tile *tile) { return tile->row + tile->rows; }

static query_tile tile_at(const gk_attention *job, size_t index) {
    // Finds the sequence of the tile: the last one whose first tile is at or before it.
    size_t b = 0, end = job->count;
    while (end - b > 1) {
        const size_t middle = b + (end - b) / 2;
        if (job->sequences[middle].tiles <= index) b = middle;
        else end = middle;
    }
    const gk_attention_sequence *sequence = &job->sequences[b];
    const size_t length = sequence->rows;
    query_tile tile = {.sequence = sequence, .b = b};
    if (job->last_only) {
        tile.row = sequence->cached + length - 1;
        tile.rows = 1;
        return tile;
    }
    // The tiles with the most keys come first: their tasks cost most, and cheap ones fill the gaps at the end.
    tile.number = blocks(length, gk_lanes) - 1 - (index - sequence->tiles);
    const size_t first = first_tile_rows(length);
    tile.row = sequence->cached + (tile.number == 0 ? 0 : first + (tile.number - 1) * gk_lanes);
    tile.rows = tile.number == 0 ? first : gk_lanes;
    return tile;
}

/// Computes the time buckets of a tile: (keys, 16 rows) for a full tile, (keys / 16, rows, 16 keys) for few rows. A
/// row's time is that of the event after it. `times` is scratch for 2 · 16 times.
static void fill_buckets(const gk_attention *job, const query_tile *tile, int64_t *times, uint8_t *buckets) {
    const gk_kernels *kernels = job->kernels;
    const int64_t *of_keys = tile->sequence->times, *of_rows = of_keys + tile->row + 1;
    const size_t keys = keys_of(tile), rows = tile->rows;
    if (!is_few(tile)) {
        // Lanes without a row repeat the last row.
        for (size_t lane = 0; lane < gk_lanes; lane++) times[lane] = of_rows[lane < rows ? lane : rows - 1];
        kernels->time_buckets(times, of_keys, keys, job->cells, buckets);
        return;
    }
    // A distance is symmetric, so keys can take the lanes of queries.
    size_t j = 0;
    for (; j + gk_lanes <= keys; j += gk_lanes)
        kernels->time_buckets(of_keys + j, of_rows, rows, job->cells, buckets + j * rows);
    if (j < keys) {
        for (size_t lane = 0; lane < gk_lanes; lane++)
            times[lane] = of_keys[j + lane < keys ? j + lane : keys - 1];
        kernels->time_buckets(times, of_rows, rows, job->cells, buckets + j * rows);
    }
}

void gk_buckets_run(const void *opaque, size_t index, size_t worker) {
    const gk_attention *job = opaque;
    const query_tile tile = tile_at(job, index);
    const gk_attention_sequence *sequence = tile.sequence;
    if (!sequence->biased || !sequence->buckets) return;
    fill_buckets(
        job, &tile, (int64_t *)(job->scratch + worker * job->scratch_stride),
        sequence->buckets + bucket_bytes(sequence->cached, sequence->rows, tile.number));
}

/// The bias of a tile, in its kernel's layout.
static const float *bias_of(const gk_attention *job, const query_tile *tile, float *scratch) {
    const gk_attention_sequence *sequence = tile->sequence;
    const size_t keys = keys_of(tile), rows = tile->rows;
    int64_t *times = (int64_t *)scratch;
    float *bias = scratch + 4 * gk_lanes;
    uint8_t *buckets = NULL;
    if (job->time && sequence->buckets) {
        buckets = sequence->buckets + bucket_bytes(sequence->cached, sequence->rows, tile->number);
    } else if (job->time) {
        buckets = (uint8_t *)(bias + gk_lanes * rounded(keys));
        fill_buckets(job, tile, times, buckets);
    }
    if (!is_few(tile)) {
        job->kernels->bias_tile(keys, buckets, job->time, job->position + tile->row, bias);
        return bias;
    }
    // `relative` is indexed by keys as `position` is by rows.
    for (size_t j = 0; j < keys; j += gk_lanes)
        job->kernels->bias_tile(
            rows, buckets ? buckets + j * rows : NULL, job->time,
            job->relative + (ptrdiff_t)j - (ptrdiff_t)tile->row, bias + j * rows);
    return bias;
}

static gk_hstu_tile_fn *kernel_of(const gk_attention *job, int few) {
    const gk_kernels *kernels = job->kernels;
    const int is_softmax = job->weights == gk_weights_softmax;
    if (job->own) {
        if (is_softmax) return few ? kernels->bf16_softmax_few : kernels->bf16_softmax_tile;
        return few ? kernels->bf16_hstu_few : kernels->bf16_hstu_tile;
    }
    if (is_softmax) return few ? kernels->softmax_few : kernels->softmax_tile;
    return few ? kernels->hstu_few : kernels->hstu_tile;
}

void gk_attention_run(const void *opaque, size_t index, size_t worker) {
    const gk_attention *job = opaque;
    const size_t shares = blocks(job->heads, job->task_heads);
    const query_tile tile = tile_at(job, index / shares);
    const gk_attention_sequence *sequence = tile.sequence;

    float *scratch = job->scratch + worker * job->scratch_stride;
    const float *bias = NULL;
    if (sequence->biased)
        bias = bias_of(job, &tile, scratch + gk_tile_scratch(job->query_columns, job->value_columns));

    const size_t query_row = job->last_only ? tile.b : sequence->begin + (tile.row - sequence->cached);
    const size_t begin = index % shares * job->task_heads;
    const size_t end = job->heads - begin < job->task_heads ? job->heads : begin + job->task_heads;
    gk_hstu_tile_fn *kernel = kernel_of(job, is_few(&tile));
    const size_t own_words = gk_page_words(job->query_columns, job->value_columns);
    for (size_t head = begin; head < end; head++) {
        const size_t key_head = head / job->sharing;
        const gk_attention_tile part = {
            .query = job->query + query_row * job->query_stride + head * job->query_columns,
            .query_stride = job->query_stride,
            .cached = sequence->cached,
            .pages = sequence->pages,
            .pool = sequence->cached ? job->pool + key_head * job->head_floats : NULL,
            .page_floats = job->page_floats,
            .key = job->key + sequence->begin * job->key_stride + key_head * job->query_columns,
            .key_stride = job->key_stride,
            .value = job->value + sequence->begin * job->value_stride + key_head * job->value_columns,
            .value_stride = job->value_stride,
            .own = job->own ? job->own + (key_head * job->own_pages + sequence->own_page) * own_words : NULL,
            .own_words = own_words,
            .output = job->output + query_row * job->output_stride + head * job->value_columns,
            .output_stride = job->output_stride,
            .bias = bias,
            .rows = tile.rows,
            .first = tile.row,
            .query_columns = job->query_columns,
            .value_columns = job->value_columns,
            .scale = job->scale,
            .first_weight = sequence->first_weight,
            .scratch = scratch,
        };
        kernel(&part);
    }
}
