// Norms of whole tensors, embedding, and the check of ids before they are used as row numbers.

#include "CKernels.h"

void gk_normalize(
    const gk_kernels *kernels, const gk_normalization *norm, size_t rows, size_t columns, const float *x,
    size_t x_stride, const float *gate, size_t gate_stride, float *output, size_t output_stride) {
    gk_layer_norm_fn *kernel = kernels->layer_norm;
    if (norm->norm == gk_norm_l2) kernel = kernels->l2_norm;
    if (norm->norm == gk_norm_rms) kernel = kernels->rms_norm;
    kernel(norm, rows, columns, x, x_stride, gate, gate_stride, output, output_stride);
}

void gk_rows_run(const void *opaque, size_t index, size_t worker) {
    (void)worker;
    const gk_rows *job = opaque;
    const size_t first = index * job->block_rows;
    const size_t rows = job->rows - first < job->block_rows ? job->rows - first : job->block_rows;
    for (size_t group = 0; group < job->groups; group++) {
        const size_t column = group * job->columns;
        gk_normalize(
            job->kernels, &job->norm, rows, job->columns, job->x + first * job->x_stride + column, job->x_stride, NULL,
            0, job->output + first * job->output_stride + column, job->output_stride);
    }
}

void gk_embedding_run(const void *opaque, size_t index, size_t worker) {
    (void)worker;
    const gk_embedding *job = opaque;
    const size_t first = index * job->block_rows;
    const size_t rows = job->rows - first < job->block_rows ? job->rows - first : job->block_rows;
    for (size_t begin = 0, end; begin < rows; begin = end) {
        const int32_t *ids = job->ids + first + begin;
        const float *table = job->table;
        int32_t paged = 0;
        end = rows;
        if (job->pages && *ids >= job->first_paged) {
            paged = *ids - job->first_paged;
            table = job->pages[paged / gk_page_items];
            paged %= gk_page_items;
            ids = &paged;
            end = begin + 1;
        } else if (job->pages) {
            for (end = begin + 1; end < rows && job->ids[first + end] < job->first_paged;) end++;
        }
        job->kernels->embed(
            end - begin, job->columns, ids, table, job->scale,
            job->position_ids ? job->position_ids + first + begin : NULL, job->positions,
            job->output + (first + begin) * job->output_stride, job->output_stride);
    }
}

void gk_id_range(const int32_t *ids, size_t count, int32_t *least, int32_t *most) {
    *least = count ? ids[0] : 0;
    *most = count ? ids[0] : -1;
    for (size_t i = 1; i < count; i++) {
        if (ids[i] < *least) *least = ids[i];
        if (ids[i] > *most) *most = ids[i];
    }
}
