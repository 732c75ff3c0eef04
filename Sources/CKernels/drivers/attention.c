// Attention over a jagged batch, one query tile of one sequence a task: the bias of the tile once, then its heads.

#include "CKernels.h"

#include <string.h>

/// Rows of a sequence's first tile: what is left when the others take 16 each from the end.
static size_t first_tile_rows(size_t length) { return (length - 1) % gk_lanes + 1; }

void gk_attention_plan(
    size_t sequences, const int32_t *offsets, int last_only, uint32_t *tiles, size_t *bucket_offsets) {
    uint32_t tile = 0;
    size_t bytes = 0;
    for (size_t b = 0; b < sequences; b++) {
        const size_t length = (size_t)(offsets[b + 1] - offsets[b]);
        const size_t count = (length + gk_lanes - 1) / gk_lanes;
        tiles[b] = tile;
        tile += last_only ? 1 : (uint32_t)count;
        if (bucket_offsets) {
            bucket_offsets[b] = bytes;
            // Tile t reaches back over first + 16·t keys, 16 bytes each.
            bytes += gk_lanes * (count * first_tile_rows(length) + gk_lanes * (count * (count - 1) / 2));
        }
    }
    tiles[sequences] = tile;
    if (bucket_offsets) bucket_offsets[sequences] = bytes;
}

/// Scratch of a worker: the kernel's, the tile's bias, its query times and, in bytes, its buckets.
static size_t kernel_scratch(const gk_attention *job) {
    return gk_lanes * (job->query_columns + job->value_columns + gk_key_block);
}

size_t gk_attention_scratch(const gk_attention *job, size_t longest) {
    const size_t bias = gk_lanes * longest, times = 2 * gk_lanes, buckets = gk_lanes * longest / 4;
    return kernel_scratch(job) + (job->biased ? bias + times + buckets : 0);
}

/// The bias of `rows` query rows from `row` on of a sequence, against keys 0 ..< row + rows.
static const float *bias_of(const gk_attention *job, size_t b, size_t tile, size_t row, size_t rows, float *scratch) {
    const size_t keys = row + rows;
    int64_t *query_times = (int64_t *)scratch;
    float *bias = scratch + 2 * gk_lanes;
    if (!job->time) {
        job->kernels->bias_tile(keys, NULL, NULL, job->position + row, bias);
        return bias;
    }

    const size_t length = (size_t)(job->offsets[b + 1] - job->offsets[b]);
    uint8_t *buckets = (uint8_t *)(bias + gk_lanes * keys);
    if (job->buckets)
        buckets = job->buckets + job->bucket_offsets[b]
            + gk_lanes * (tile * first_tile_rows(length) + gk_lanes * (tile * (tile - (tile > 0)) / 2));
    if (!job->buckets || !job->buckets_ready) {
        const int64_t *times = job->times + job->offsets[b] + b;
        // A row's own time is that of the event after it. Lanes without a row repeat the last.
        for (size_t lane = 0; lane < gk_lanes; lane++)
            query_times[lane] = times[row + 1 + (lane < rows ? lane : rows - 1)];
        job->kernels->time_buckets(query_times, times, keys, job->cells, buckets);
    }
    job->kernels->bias_tile(keys, buckets, job->time, job->position + row, bias);
    return bias;
}

void gk_attention_run(const void *opaque, size_t index, size_t worker) {
    const gk_attention *job = opaque;
    // The sequence that the tile belongs to: the last whose tiles begin at or before it.
    size_t b = 0, end = job->sequences;
    while (end - b > 1) {
        const size_t middle = b + (end - b) / 2;
        if (job->tiles[middle] <= index) b = middle;
        else end = middle;
    }
    const size_t begin = (size_t)job->offsets[b], length = (size_t)job->offsets[b + 1] - begin;

    size_t tile = 0, row = length - 1, rows = 1;
    if (!job->last_only) {
        // The longest tile first: its tasks are the dearest, and the cheap ones fill the gaps at the end.
        tile = job->tiles[b + 1] - 1 - index;
        const size_t first = first_tile_rows(length);
        row = tile == 0 ? 0 : first + (tile - 1) * gk_lanes;
        rows = tile == 0 ? first : gk_lanes;
    }

    float *scratch = job->scratch + worker * job->scratch_stride;
    const float *bias = NULL;
    if (job->biased && job->biased[b]) bias = bias_of(job, b, tile, row, rows, scratch + kernel_scratch(job));

    const size_t query_row = job->last_only ? b : begin + row;
    for (size_t head = 0; head < job->heads; head++) {
        const size_t key_head = head / job->sharing;
        const gk_attention_tile part = {
            .query = job->query + query_row * job->query_stride + head * job->query_columns,
            .query_stride = job->query_stride,
            .key = job->key + begin * job->key_stride + key_head * job->query_columns,
            .key_stride = job->key_stride,
            .value = job->value + begin * job->value_stride + key_head * job->value_columns,
            .value_stride = job->value_stride,
            .output = job->output + query_row * job->output_stride + head * job->value_columns,
            .output_stride = job->output_stride,
            .bias = bias,
            .rows = rows,
            .first = row,
            .query_columns = job->query_columns,
            .value_columns = job->value_columns,
            .scale = job->scale,
            .first_weight = job->first_weights ? job->first_weights[b] : 0.0f,
            .scratch = scratch,
        };
        if (job->weights == gk_weights_softmax) job->kernels->softmax_tile(&part);
        else job->kernels->hstu_tile(&part);
    }
}
