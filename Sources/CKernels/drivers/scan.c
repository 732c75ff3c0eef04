// The catalogue scan. A block of 64 rows is scored for all queries while it is in the cache. The scores are compared
// with each query's worst selected score, and only those that pass are examined. Scores are never written out. If the
// catalogue has a quantised copy, the bounds of the scores are compared first, and only rows that could pass are
// scored.

#include "CKernels.h"

#include <math.h>
#include <string.h>

/// The most queries for which a block is scored at a time: the rows of the largest tile.
enum { group = 6 };

size_t gk_scan_tasks(const gk_scan *job) {
    return (job->blocks + job->task_blocks - 1) / job->task_blocks;
}

size_t gk_scan_scratch(const gk_scan *job) {
    return job->bounds ? gk_scored_rows * gk_packed_depth(job->dtype, job->depth) : 0;
}

/// A block of packed rows; `words` is the size of a row.
static const uint32_t *packed_block(const gk_items *items, size_t block, size_t words) {
    enum { page_blocks = gk_page_items / gk_block_rows };
    if (block < items->blocks) return (const uint32_t *)items->packed + block * gk_block_rows * words;
    const size_t paged = block - items->blocks;
    return (const uint32_t *)items->pages[paged / page_blocks] + paged % page_blocks * gk_block_rows * words;
}

/// The order of a selection: higher scores first, then smaller rows. Scores are never NaN here.
static int comes_before(gk_scored a, gk_scored b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
}

/// Restores the heap below `i`. Its root is the entry that comes last in the order.
static void sift_down(gk_scored *heap, size_t count, size_t i) {
    const gk_scored moved = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count) break;
        if (child + 1 < count && comes_before(heap[child], heap[child + 1])) child++;
        if (!comes_before(moved, heap[child])) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static void sift_up(gk_scored *heap, size_t i) {
    const gk_scored moved = heap[i];
    while (i > 0) {
        const size_t parent = (i - 1) / 2;
        if (!comes_before(heap[parent], moved)) break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = moved;
}

/// The lowest score that can still enter. A worker sees rows in increasing order, so a tie with the worst cannot enter.
static float floor_of(const gk_scored *heap, size_t count, size_t wanted) {
    if (count < wanted) return -INFINITY;
    const float worst = heap[0].score;
    return worst == INFINITY ? NAN : nextafterf(worst, INFINITY);
}

/// Bit i: whether row 64 · block + i may be selected for the query. `cursor` walks the excluded rows.
static uint64_t allowed_rows(const gk_scan *job, const gk_scan_query *want, size_t block, size_t *cursor) {
    uint64_t bits = block < job->items.blocks ? job->eligible[block] : want->allowed ? ~(uint64_t)0 : 0;
    if (want->allowed) bits &= block < want->words ? want->allowed[block] : 0;
    const int64_t begin = (int64_t)block * gk_block_rows, end = begin + gk_block_rows;
    while (*cursor < want->excluded_count && want->excluded[*cursor] < end) {
        const int64_t row = want->excluded[*cursor];
        if (row >= begin) bits &= ~((uint64_t)1 << (row - begin));
        (*cursor)++;
    }
    return bits;
}

/// The index of the first entry of an ascending list that is not below `row`.
static size_t lower_bound(const int32_t *list, size_t count, int64_t row) {
    size_t low = 0;
    while (count > 0) {
        const size_t half = count / 2;
        if (list[low + half] < row) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

/// Products of `rows` queries and one panel of packed items, (rows, width) with `stride` between the rows.
static void score_panel(
    const gk_kernels *kernels, gk_dtype dtype, size_t rows, size_t width, size_t depth, const void *query,
    size_t query_stride, const void *panel, float *scores, size_t stride) {
    if (dtype == gk_dtype_bfloat16)
        kernels->bf16_gemm(rows, width, depth, query, query_stride, panel, NULL, scores, stride);
    else kernels->gemm(rows, width, depth, query, query_stride, panel, NULL, scores, stride);
}

/// Scores of the queries against one block of rows, (queries, gk_block_rows).
static void score_block(const gk_scan *job, size_t block, size_t first_query, size_t queries, float *scores) {
    const gk_kernels *kernels = job->kernels;
    const size_t depth = gk_packed_depth(job->dtype, job->depth), width = kernels->gemm_columns;
    const uint32_t *items = packed_block(&job->items, block, depth);
    for (size_t column = 0; column < gk_block_rows; column += width) {
        const void *panel = items + column * depth;
        for (size_t i = 0; i < queries; i += kernels->gemm_rows) {
            const size_t rows = queries - i < kernels->gemm_rows ? queries - i : kernels->gemm_rows;
            const void *query = (const uint32_t *)job->query + (first_query + i) * job->query_stride;
            score_panel(
                kernels, job->dtype, rows, width, depth, query, job->query_stride, panel,
                scores + i * gk_block_rows + column, gk_block_rows);
        }
    }
}

/// Copies a row, or zeros for row −1, into lane `i` of a panel of gk_scored_rows. Named rows come from different
/// panels; their products are the same here, because a kernel treats every column alike.
static void gather_row(
    const gk_items *items, int64_t row, size_t width, size_t depth, size_t i, uint32_t *panel) {
    if (row < 0) {
        for (size_t k = 0; k < depth; k++) panel[k * gk_scored_rows + i] = 0;
        return;
    }
    const size_t column = (size_t)row % gk_block_rows, first = column / width * width;
    const uint32_t *source = packed_block(items, (size_t)row / gk_block_rows, depth) + first * depth + (column - first);
    for (size_t k = 0; k < depth; k++) panel[k * gk_scored_rows + i] = source[k * width];
}

/// Scores the rows of a block in `bits` against one query; if there are many, scores all rows of the block.
static void score_rows(const gk_scan *job, size_t block, size_t query, uint64_t bits, uint32_t *panel, float *scores) {
    if (__builtin_popcountll(bits) > gk_scored_rows) return score_block(job, block, query, 1, scores);
    const size_t depth = gk_packed_depth(job->dtype, job->depth), width = job->kernels->gemm_columns;
    float gathered[gk_scored_rows] __attribute__((aligned(64)));
    uint64_t left = bits;
    for (size_t i = 0; i < gk_scored_rows; i++, left &= left - 1)
        gather_row(
            &job->items, left ? (int64_t)(block * gk_block_rows) + __builtin_ctzll(left) : -1, width, depth, i, panel);
    score_panel(
        job->kernels, job->dtype, 1, gk_scored_rows, depth, (const uint32_t *)job->query + query * job->query_stride,
        job->query_stride, panel, gathered, gk_scored_rows);
    for (size_t i = 0; bits; bits &= bits - 1) scores[__builtin_ctzll(bits)] = gathered[i++];
}

/// The integer products of two rows of each query with a block of the copy, (2 · queries, gk_block_rows).
static void multiply_copy(const gk_scan *job, size_t block, size_t first_query, size_t queries, int32_t *products) {
    const gk_kernels *kernels = job->kernels;
    const size_t depth = gk_packed_depth(gk_dtype_int8, job->depth), width = kernels->gemm_columns;
    const size_t first = block * gk_block_rows;
    for (size_t column = 0; column < gk_block_rows; column += width)
        for (size_t i = 0; i < 2 * queries; i += kernels->gemm_rows) {
            const size_t rows = 2 * queries - i < kernels->gemm_rows ? 2 * queries - i : kernels->gemm_rows;
            kernels->s8_gemm(
                rows, width, depth, job->integers + (2 * first_query + i) * job->integer_stride, job->integer_stride,
                job->items.copy.packed + (first + column) * depth, job->items.copy.init + first + column,
                products + i * gk_block_rows + column, gk_block_rows);
        }
}

static void scan_group(
    const gk_scan *job, size_t first_block, size_t end_block, size_t first_query, size_t queries, gk_scored *found,
    uint32_t *counts, uint32_t *panel) {
    const gk_kernels *kernels = job->kernels;
    float scores[group * gk_block_rows] __attribute__((aligned(64)));
    int32_t products[2 * group * gk_block_rows] __attribute__((aligned(64)));
    size_t cursor[group];
    float floors[group];
    for (size_t i = 0; i < queries; i++) {
        const gk_scan_query *want = &job->wants[first_query + i];
        cursor[i] = lower_bound(want->excluded, want->excluded_count, (int64_t)first_block * gk_block_rows);
        floors[i] = floor_of(found + want->first, counts[first_query + i], want->count);
    }
    for (size_t block = first_block; block < end_block; block++) {
        uint64_t allowed[group], any = 0;
        for (size_t i = 0; i < queries; i++) {
            allowed[i] = allowed_rows(job, &job->wants[first_query + i], block, &cursor[i]);
            any |= allowed[i];
        }
        if (!any) continue;
        const int copied = job->bounds && block < job->items.blocks;
        if (copied) multiply_copy(job, block, first_query, queries, products);
        else score_block(job, block, first_query, queries, scores);
        for (size_t i = 0; i < queries; i++) {
            uint64_t bits = allowed[i];
            if (copied) {
                const int32_t *high = products + 2 * i * gk_block_rows;
                bits &= kernels->bounds_at_least(
                    high, high + gk_block_rows, job->items.copy.scales + block * gk_block_rows,
                    &job->bounds[first_query + i], floors[i]);
                if (!bits) continue;
                score_rows(job, block, first_query + i, bits, panel, scores + i * gk_block_rows);
            }
            bits &= kernels->scores_at_least(scores + i * gk_block_rows, floors[i]);
            const gk_scan_query *want = &job->wants[first_query + i];
            gk_scored *heap = found + want->first;
            uint32_t *count = &counts[first_query + i];
            for (; bits; bits &= bits - 1) {
                const int bit = __builtin_ctzll(bits);
                const float score = scores[i * gk_block_rows + (size_t)bit];
                // The floor rises while a block is read.
                if (!(score >= floors[i])) continue;
                const gk_scored entry = {(int32_t)(block * gk_block_rows) + bit, score};
                if (*count < want->count) {
                    heap[*count] = entry;
                    sift_up(heap, (*count)++);
                } else {
                    heap[0] = entry;
                    sift_down(heap, *count, 0);
                }
                floors[i] = floor_of(heap, *count, want->count);
            }
        }
    }
}

void gk_scan_run(const void *opaque, size_t index, size_t worker) {
    const gk_scan *job = opaque;
    const size_t begin = index * job->task_blocks;
    const size_t end = job->blocks - begin < job->task_blocks ? job->blocks : begin + job->task_blocks;
    gk_scored *found = job->found + worker * job->found_stride;
    uint32_t *counts = job->found_counts + worker * job->queries;
    uint32_t *panel = job->scratch + worker * gk_scan_scratch(job);
    // A few blocks at a time stay in the cache while every group of queries is scored against them.
    const gk_dtype read = job->bounds ? gk_dtype_int8 : job->dtype;
    const size_t bytes = gk_block_rows * gk_packed_depth(read, job->depth) * sizeof(uint32_t);
    const size_t cached = bytes < (64 << 10) ? (128 << 10) / bytes : 1;
    for (size_t first = begin; first < end; first += cached)
        for (size_t q = 0; q < job->queries; q += group)
            scan_group(
                job, first, end - first < cached ? end : first + cached, q,
                job->queries - q < group ? job->queries - q : group, found, counts, panel);
}

void gk_merge_run(const void *opaque, size_t index, size_t worker) {
    (void)worker;
    const gk_merge *merge = opaque;
    const gk_scan *job = merge->scan;
    const gk_scan_query *want = &job->wants[index];
    gk_scored *all = merge->merged + index * merge->merged_stride;
    size_t count = 0;
    for (size_t w = 0; w < job->workers; w++) {
        const uint32_t found = job->found_counts[w * job->queries + index];
        memcpy(all + count, job->found + w * job->found_stride + want->first, found * sizeof *all);
        count += found;
    }
    // Heap sort: the root comes last in the order and goes to the end.
    for (size_t i = count / 2; i-- > 0;) sift_down(all, count, i);
    for (size_t end = count; end > 1;) {
        end--;
        const gk_scored last = all[0];
        all[0] = all[end];
        all[end] = last;
        sift_down(all, end, 0);
    }
    const size_t kept = count < want->count ? count : want->count;
    memcpy(job->found + want->first, all, kept * sizeof *all);
    job->found_counts[index] = (uint32_t)kept;
}

void gk_scores_run(const void *opaque, size_t index, size_t worker) {
    const gk_scores *job = opaque;
    const gk_scores_task *task = &job->tasks[index];
    const size_t depth = gk_packed_depth(job->dtype, job->depth), width = job->kernels->gemm_columns;
    uint32_t *panel = job->scratch + worker * depth * gk_scored_rows;
    for (size_t i = 0; i < gk_scored_rows; i++)
        gather_row(&job->items, i < task->count ? job->rows[task->first + i] : -1, width, depth, i, panel);
    float scores[gk_scored_rows] __attribute__((aligned(64)));
    const void *query = (const uint32_t *)job->query + task->query * job->query_stride;
    score_panel(
        job->kernels, job->dtype, 1, gk_scored_rows, depth, query, job->query_stride, panel, scores, gk_scored_rows);
    memcpy(job->scores + task->first, scores, task->count * sizeof *scores);
}
