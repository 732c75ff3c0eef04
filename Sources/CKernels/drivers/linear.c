// A projection, task by task: a block of input rows is normalised or gated into scratch that stays in the cache, then
// the micro-kernel runs panel by panel over it.

#include "CKernels.h"

/// Where a tile waits for its epilogue: the largest tile of any level.
enum { tile_rows = 6, tile_columns = 64 };

static size_t blocks(size_t count, size_t block) { return (count + block - 1) / block; }

size_t gk_linear_tasks(const gk_linear *job) {
    return blocks(job->rows, job->block_rows) * blocks(job->columns, job->block_columns);
}

/// Floats between the rows of the prepared input: whole cache lines, an odd number of them, so that no power-of-two
/// width maps all rows of a block to the same cache sets.
static size_t prepared_stride(const gk_linear *job) {
    return (((job->depth + 15) / 16) | 1) * 16;
}

size_t gk_linear_scratch(const gk_linear *job) {
    return job->input == gk_input_plain ? 0 : job->block_rows * prepared_stride(job);
}

/// Normalised or gated rows in scratch.
static void prepare(const gk_linear *job, size_t first, size_t rows, float *output, size_t stride) {
    const gk_kernels *kernels = job->kernels;
    const float *x = job->x + first * job->x_stride;
    const float *gate = job->gate ? job->gate + first * job->gate_stride : NULL;
    const size_t columns = job->x_columns;
    switch (job->input) {
    case gk_input_plain:
        return;
    case gk_input_normalized:
    case gk_input_gated:
        gk_normalize(
            kernels, &job->norm, rows, columns, x, job->x_stride, gate, job->gate_stride, output, stride);
        return;
    case gk_input_concatenated:
        gk_normalize(kernels, &job->norm, rows, columns, x, job->x_stride, NULL, 0, output + columns, stride);
        kernels->concatenate(rows, columns, gate, job->gate_stride, output, stride);
        return;
    case gk_input_swiglu:
        kernels->swiglu(rows, columns, gate, job->gate_stride, x, job->x_stride, output, stride);
        return;
    }
}

void gk_linear_run(const void *opaque, size_t index, size_t worker) {
    const gk_linear *job = opaque;
    const gk_kernels *kernels = job->kernels;
    const size_t column_blocks = blocks(job->columns, job->block_columns);
    const size_t first = index / column_blocks * job->block_rows;
    const size_t rows = job->rows - first < job->block_rows ? job->rows - first : job->block_rows;
    const size_t begin = index % column_blocks * job->block_columns;
    const size_t end = job->columns - begin < job->block_columns ? job->columns : begin + job->block_columns;

    const float *input = job->x + first * job->x_stride;
    size_t input_stride = job->x_stride;
    if (job->input != gk_input_plain) {
        float *prepared = job->scratch + worker * job->scratch_stride;
        input_stride = prepared_stride(job);
        prepare(job, first, rows, prepared, input_stride);
        input = prepared;
    }

    float tile[tile_rows * tile_columns] __attribute__((aligned(64)));
    const int finish = job->activation != gk_activation_none || job->residual;
    for (size_t column = begin, width; column < end; column += width) {
        width = gk_panel_width(column, job->columns, kernels->gemm_columns);
        const size_t columns = job->columns - column < width ? job->columns - column : width;
        const float *panel = job->weights + column * job->depth;
        const float *init = job->bias ? job->bias + column : NULL;
        for (size_t r = 0; r < rows; r += kernels->gemm_rows) {
            const size_t count = rows - r < kernels->gemm_rows ? rows - r : kernels->gemm_rows;
            const float *a = input + r * input_stride;
            float *output = job->output + (first + r) * job->output_stride + column;
            if (!finish && columns == width) {
                kernels->gemm(count, width, job->depth, a, input_stride, panel, init, output, job->output_stride);
                continue;
            }
            kernels->gemm(count, width, job->depth, a, input_stride, panel, init, tile, tile_columns);
            kernels->epilogue(
                count, columns, tile, tile_columns, job->activation,
                job->residual ? job->residual + (first + r) * job->residual_stride + column : NULL,
                job->residual_stride, output, job->output_stride);
        }
    }
}
