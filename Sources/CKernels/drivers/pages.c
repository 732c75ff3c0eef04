// Copies keys and values into pages: into a cache's pages, where a task fills one page, and into the pages from which
// bfloat16 attention reads the batch's own rows. Keys are transposed, so that the rows of a page are the lanes of a
// vector.

#include "CKernels.h"

#include "bfloat16.h"

#include <string.h>

size_t gk_page_words(size_t query_columns, size_t value_columns) {
    return gk_page_rows * ((query_columns + 1) / 2) + gk_page_rows / 2 * value_columns;
}

/// The index, among a page's 16-bit halves, of column c of a key row and of a value row.
static size_t key_half(size_t row, size_t c) { return 2 * (gk_page_rows * (c / 2) + row) + c % 2; }
static size_t value_half(size_t row, size_t c, size_t columns) { return 2 * (columns * (row / 2) + c) + row % 2; }

/// Writes some rows of one head into a page of bfloat16 that already holds others.
static void insert_rows(
    size_t first, size_t count, const float *key, size_t key_stride, size_t key_columns, const float *value,
    size_t value_stride, size_t value_columns, uint32_t *page) {
    uint16_t *keys = (uint16_t *)page, *values = keys + 2 * gk_page_rows * ((key_columns + 1) / 2);
    for (size_t r = 0; r < count; r++) {
        for (size_t c = 0; c < key_columns; c++) keys[key_half(first + r, c)] = gk_bfloat16_of(key[r * key_stride + c]);
        for (size_t c = 0; c < value_columns; c++)
            values[value_half(first + r, c, value_columns)] = gk_bfloat16_of(value[r * value_stride + c]);
    }
}

/// Clears the rows of a page of one head from row `first` on. Old content must not reach a product, because even a
/// weight of 0 does not cancel infinity.
void gk_clear_page_rows(size_t first, size_t key_columns, size_t value_columns, uint32_t *page) {
    uint16_t *keys = (uint16_t *)page, *values = keys + 2 * gk_page_rows * ((key_columns + 1) / 2);
    for (size_t r = first; r < gk_page_rows; r++) {
        for (size_t c = 0; c < key_columns; c++) keys[key_half(r, c)] = 0;
        for (size_t c = 0; c < value_columns; c++) values[value_half(r, c, value_columns)] = 0;
    }
}

static size_t own_pages_of(const gk_attention_sequence *sequence) {
    const size_t keys = sequence->cached + sequence->rows;
    return (keys + gk_page_rows - 1) / gk_page_rows - sequence->cached / gk_page_rows;
}

size_t gk_own_pages_plan(gk_attention_sequence *sequences, size_t count) {
    size_t pages = 0;
    for (size_t b = 0; b < count; b++) {
        sequences[b].own_page = pages;
        pages += own_pages_of(&sequences[b]);
    }
    return pages;
}

void gk_own_pages_run(const void *opaque, size_t index, size_t worker) {
    const gk_attention *job = opaque;
    size_t b = 0, end = job->count;
    while (end - b > 1) {
        const size_t middle = b + (end - b) / 2;
        if (job->sequences[middle].own_page <= index) b = middle;
        else end = middle;
    }
    const gk_attention_sequence *sequence = &job->sequences[b];
    // The page's rows, counted from the first row of the sequence. The first few may be cached rows.
    const size_t number = sequence->cached / gk_page_rows + (index - sequence->own_page);
    const size_t first = number * gk_page_rows, keys = sequence->cached + sequence->rows;
    const size_t skipped = sequence->cached > first ? sequence->cached - first : 0;
    const size_t rows = keys - first < gk_page_rows ? keys - first : gk_page_rows;
    const size_t row = sequence->begin + (first + skipped - sequence->cached);
    const size_t key_columns = job->query_columns, value_columns = job->value_columns;
    const size_t words = gk_page_words(key_columns, value_columns);
    for (size_t head = 0; head < job->heads / job->sharing; head++) {
        const float *key = job->key + row * job->key_stride + head * key_columns;
        const float *value = job->value + row * job->value_stride + head * value_columns;
        uint32_t *page = job->own + (head * job->own_pages + index) * words;
        if (skipped == 0) {
            job->kernels->bf16_page(
                rows, key, job->key_stride, key_columns, value, job->value_stride, value_columns,
                job->scratch + worker * job->scratch_stride, page);
            continue;
        }
        memcpy(
            page, job->pool + (size_t)sequence->pages[number] * job->page_floats + head * job->head_floats,
            words * sizeof *page);
        gk_clear_page_rows(skipped, key_columns, value_columns, page);
        insert_rows(
            skipped, rows - skipped, key, job->key_stride, key_columns, value, job->value_stride, value_columns, page);
    }
}

/// Copies one part to a page of bfloat16.
static void copy_as_bfloat16(const gk_page_copies *job, const gk_page_copy *part, size_t worker) {
    const size_t words = gk_page_words(job->key_columns, job->value_columns);
    uint32_t *page = (uint32_t *)(job->pages + (size_t)part->page * job->page_floats);
    for (size_t head = 0; head < job->heads; head++, page += words) {
        const float *key = job->key + part->row * job->key_stride + head * job->key_columns;
        const float *value = job->value + part->row * job->value_stride + head * job->value_columns;
        if (part->first == 0)
            job->kernels->bf16_page(
                part->count, key, job->key_stride, job->key_columns, value, job->value_stride, job->value_columns,
                job->scratch + worker * job->scratch_stride, page);
        else
            insert_rows(
                part->first, part->count, key, job->key_stride, job->key_columns, value, job->value_stride,
                job->value_columns, page);
    }
}

void gk_page_copies_run(const void *opaque, size_t index, size_t worker) {
    const gk_page_copies *job = opaque;
    const gk_page_copy part = job->parts[index];
    if (job->dtype == gk_dtype_bfloat16) {
        copy_as_bfloat16(job, &part, worker);
        return;
    }
    const size_t keys = gk_page_rows * job->key_columns;
    float *page = job->pages + (size_t)part.page * job->page_floats;
    for (size_t head = 0; head < job->heads; head++) {
        const float *key = job->key + part.row * job->key_stride + head * job->key_columns;
        const float *value = job->value + part.row * job->value_stride + head * job->value_columns;
        for (size_t r = 0; r < part.count; r++)
            for (size_t c = 0; c < job->key_columns; c++)
                page[gk_page_rows * c + part.first + r] = key[r * job->key_stride + c];
        page += keys;
        for (size_t r = 0; r < part.count; r++)
            memcpy(
                page + (part.first + r) * job->value_columns, value + r * job->value_stride,
                job->value_columns * sizeof(float));
        page += gk_page_rows * job->value_columns;
    }
}
