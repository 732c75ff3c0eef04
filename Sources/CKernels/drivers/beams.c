// Attention of beams. A task is 16 rows of one request and one key head. The rows read the same prompt from its pages,
// block by block. Each row then reads its few own keys: its ancestors' from their pages, and its own. These are laid
// out by lanes, so that they form one more block of the tile.

#include "CKernels.h"

#include "bfloat16.h"

#include <string.h>

static size_t blocks(size_t count, size_t block) { return (count + block - 1) / block; }

size_t gk_beams_plan(gk_beam_group *groups, size_t count) {
    size_t tiles = 0;
    for (size_t g = 0; g < count; g++) {
        groups[g].tiles = tiles;
        tiles += blocks(groups[g].rows, gk_lanes);
    }
    return tiles;
}

size_t gk_beams_scratch(const gk_beams *job) {
    size_t depth = 0;
    for (size_t g = 0; g < job->count; g++)
        if (job->groups[g].depth > depth) depth = job->groups[g].depth;
    return gk_tile_scratch(job->columns, job->columns) + (depth + 1) * gk_lanes * 2 * job->columns
        + blocks(gk_page_words(job->columns, job->columns), gk_lanes) * gk_lanes;
}

/// Copies a stored row of one head into lane `lane` of key `key` and of its value.
static void take_kept(
    const gk_beams *job, const float *pool, const gk_beam_group *group, size_t row, float *key, float *value) {
    const size_t columns = job->columns, place = row % gk_page_rows;
    const float *page = pool + (size_t)group->beam_pages[row / gk_page_rows] * job->page_floats;
    if (job->dtype != gk_dtype_bfloat16) {
        const float *values = page + gk_page_rows * columns + place * columns;
        for (size_t c = 0; c < columns; c++) key[gk_lanes * c] = page[gk_page_rows * c + place];
        for (size_t c = 0; c < columns; c++) value[gk_lanes * c] = values[c];
        return;
    }
    const uint16_t *keys = (const uint16_t *)page, *values = keys + 2 * gk_page_rows * ((columns + 1) / 2);
    for (size_t c = 0; c < columns; c++) key[gk_lanes * c] = gk_float_of_bfloat16(keys[2 * (gk_page_rows * (c / 2) + place) + c % 2]);
    for (size_t c = 0; c < columns; c++) value[gk_lanes * c] = gk_float_of_bfloat16(values[2 * (columns * (place / 2) + c) + place % 2]);
}

/// The same for a row of the batch, rounded as it will be stored.
static void take_own(const gk_beams *job, size_t row, size_t head, float *key, float *value) {
    const size_t columns = job->columns;
    const float *keys = job->key + row * job->key_stride + head * columns;
    const float *values = job->value + row * job->value_stride + head * columns;
    const int rounds = job->dtype == gk_dtype_bfloat16;
    for (size_t c = 0; c < columns; c++) key[gk_lanes * c] = rounds ? gk_float_of_bfloat16(gk_bfloat16_of(keys[c])) : keys[c];
    for (size_t c = 0; c < columns; c++) value[gk_lanes * c] = rounds ? gk_float_of_bfloat16(gk_bfloat16_of(values[c])) : values[c];
}

void gk_beams_run(const void *opaque, size_t index, size_t worker) {
    const gk_beams *job = opaque;
    const size_t key_heads = job->heads / job->sharing, key_head = index % key_heads, tile = index / key_heads;
    size_t g = 0, end = job->count;
    while (end - g > 1) {
        const size_t middle = g + (end - g) / 2;
        if (job->groups[middle].tiles <= tile) g = middle;
        else end = middle;
    }
    const gk_beam_group *group = &job->groups[g];
    const size_t first = (tile - group->tiles) * gk_lanes, columns = job->columns;
    const size_t rows = group->rows - first < gk_lanes ? group->rows - first : gk_lanes;
    const float *pool = job->pool + key_head * job->head_floats;

    float *scratch = job->scratch + worker * job->scratch_stride;
    float *keys = scratch + gk_tile_scratch(columns, columns);
    float *values = keys + (group->depth + 1) * gk_lanes * columns;
    for (size_t lane = 0; lane < gk_lanes; lane++) {
        // Lanes without a row repeat the last.
        const size_t row = first + (lane < rows ? lane : rows - 1);
        const int32_t *ancestors = group->ancestors + row * group->depth;
        for (size_t j = 0; j < group->depth; j++)
            take_kept(
                job, pool, group, (size_t)ancestors[j], keys + gk_lanes * columns * j + lane,
                values + gk_lanes * columns * j + lane);
        take_own(
            job, group->begin + row, key_head, keys + gk_lanes * columns * group->depth + lane,
            values + gk_lanes * columns * group->depth + lane);
    }
    // The last page may not be full. Old data in its unused rows must not reach a product of bfloat16.
    uint32_t *rest = (uint32_t *)(values + (group->depth + 1) * gk_lanes * columns);
    const size_t page_words = gk_page_words(columns, columns);
    if (job->dtype == gk_dtype_bfloat16 && group->cached % gk_page_rows) {
        const size_t page = (size_t)group->pages[group->cached / gk_page_rows];
        memcpy(rest, pool + page * job->page_floats, page_words * sizeof *rest);
        gk_clear_page_rows(group->cached % gk_page_rows, columns, columns, rest);
    }
    gk_softmax_tile_fn *kernel =
        job->dtype == gk_dtype_bfloat16 ? job->kernels->bf16_softmax_tile : job->kernels->softmax_tile;
    for (size_t head = key_head * job->sharing; head < (key_head + 1) * job->sharing; head++) {
        const gk_attention_tile part = {
            .query = job->query + (group->begin + first) * job->query_stride + head * columns,
            .query_stride = job->query_stride,
            .cached = group->cached,
            .pages = group->pages,
            .pool = pool,
            .page_floats = job->page_floats,
            .own = rest,
            .own_words = page_words,
            .lane_keys = group->depth + 1,
            .lane_key = keys,
            .lane_value = values,
            .output = job->output + (group->begin + first) * job->output_stride + head * columns,
            .output_stride = job->output_stride,
            .rows = rows,
            .first = group->cached - 1,
            .query_columns = columns,
            .value_columns = columns,
            .scale = job->scale,
            .scratch = scratch,
        };
        kernel(&part);
    }
}
