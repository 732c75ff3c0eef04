// Rows of keys and values on their way into pages: a task is what one page receives. Keys are turned so that a page's
// rows are the lanes of a vector.

#include "CKernels.h"

#include <string.h>

void gk_page_copies_run(const void *opaque, size_t index, size_t worker) {
    (void)worker;
    const gk_page_copies *job = opaque;
    const gk_page_copy part = job->parts[index];
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
