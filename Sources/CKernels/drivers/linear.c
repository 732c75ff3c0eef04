// A projection, task by task. A block of input rows is normalised or gated, then rounded or quantised, into scratch
// that stays in the cache. Then the micro-kernel multiplies it panel by panel.

#include "CKernels.h"

/// The size of the largest tile of any level, which is held until its epilogue.
enum { tile_rows = 6, tile_columns = 64 };

/// From this number of rows on, a panel of bfloat16 is widened once for all of them, if the level has no product of
/// pairs. For fewer rows the product widens it in registers. The bits are the same.
enum { widened_rows = 24 };

/// Rows prepared together in float32 before conversion to bfloat16 or int8: few enough for the first-level cache.
enum { float_rows = 8 };

static size_t blocks(size_t count, size_t block) { return (count + block - 1) / block; }

size_t gk_linear_tasks(const gk_linear *job) {
    return blocks(job->rows, job->block_rows) * blocks(job->columns, job->block_columns);
}

/// The stride of rows of `words` words: an odd number of whole cache lines, so that a power-of-two width does not map
/// all rows of a block to the same cache sets.
static size_t padded_stride(size_t words) { return (((words + 15) / 16) | 1) * 16; }

/// Words of a row that the product reads.
static size_t operand_words(const gk_linear *job) {
    const size_t padded = (job->depth + 15) / 16 * 16;
    switch (job->dtype) {
    case gk_dtype_bfloat16: return padded / 2 * job->kernels->bf16_words;
    case gk_dtype_int8: return padded / 4 * job->kernels->s8_words;
    default: return job->depth;
    }
}

/// Floats of a widened panel; 0 if none is widened.
static size_t widened_panel(const gk_linear *job) {
    const gk_kernels *kernels = job->kernels;
    if (job->dtype != gk_dtype_bfloat16 || kernels->bf16_words == 1 || job->rows < widened_rows) return 0;
    return 2 * gk_packed_depth(job->dtype, job->depth) * kernels->gemm_columns;
}

size_t gk_linear_scratch(const gk_linear *job) {
    const int plain = job->input == gk_input_plain;
    if (job->dtype == gk_dtype_float32) return plain ? 0 : job->block_rows * padded_stride(job->depth);
    // A widened panel, the operand, the scales of its rows, and the float32 rows that it is made from.
    return widened_panel(job) + job->block_rows * padded_stride(operand_words(job)) + (job->block_rows + 15) / 16 * 16
        + (plain ? 0 : float_rows * padded_stride(job->depth));
}

/// Writes normalised or gated rows to scratch.
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

/// The operand of a block's product.
typedef struct {
    const void *words; size_t stride;
    const float *scales;
} operand;

/// Prepares a block's input rows.
static operand prepare_operand(const gk_linear *job, size_t first, size_t rows, float *scratch) {
    const int plain = job->input == gk_input_plain;
    if (job->dtype == gk_dtype_float32) {
        if (plain) return (operand){job->x + first * job->x_stride, job->x_stride, NULL};
        const size_t stride = padded_stride(job->depth);
        prepare(job, first, rows, scratch, stride);
        return (operand){scratch, stride, NULL};
    }
    const size_t stride = padded_stride(operand_words(job)), float_stride = padded_stride(job->depth);
    float *scales = scratch + job->block_rows * stride, *floats = scales + (job->block_rows + 15) / 16 * 16;
    for (size_t r = 0; r < rows; r += float_rows) {
        const size_t count = rows - r < float_rows ? rows - r : float_rows;
        const float *x = job->x + (first + r) * job->x_stride;
        if (!plain) {
            prepare(job, first + r, count, floats, float_stride);
            x = floats;
        }
        const size_t x_stride = plain ? job->x_stride : float_stride;
        uint32_t *words = (uint32_t *)scratch + r * stride;
        if (job->dtype == gk_dtype_bfloat16) job->kernels->bf16_round(count, job->depth, x, x_stride, words, stride);
        else job->kernels->s8_quantize(count, job->depth, x, x_stride, words, stride, scales + r);
    }
    return (operand){scratch, stride, scales};
}

void gk_linear_run(const void *opaque, size_t index, size_t worker) {
    const gk_linear *job = opaque;
    const gk_kernels *kernels = job->kernels;
    const size_t column_blocks = blocks(job->columns, job->block_columns);
    const size_t first = index / column_blocks * job->block_rows;
    const size_t rows = job->rows - first < job->block_rows ? job->rows - first : job->block_rows;
    const size_t begin = index % column_blocks * job->block_columns;
    const size_t end = job->columns - begin < job->block_columns ? job->columns : begin + job->block_columns;
    float *scratch = job->scratch + worker * job->scratch_stride;
    float *widened = rows >= widened_rows && widened_panel(job) ? scratch : NULL;
    const operand input = prepare_operand(job, first, rows, scratch + widened_panel(job));
    const size_t depth = gk_packed_depth(job->dtype, job->depth);

    // One tile, in the product's own type.
    float tile[tile_rows * tile_columns] __attribute__((aligned(64)));
    int32_t *integers = (int32_t *)tile;
    const int finish = job->activation != gk_activation_none || job->residual;
    for (size_t column = begin, width; column < end; column += width) {
        width = gk_panel_width(column, job->columns, kernels->gemm_columns);
        const size_t columns = job->columns - column < width ? job->columns - column : width;
        const void *panel = (const uint32_t *)job->weights + column * depth;
        const float *bias = job->bias ? job->bias + column : NULL;
        if (widened) kernels->widen_panel(width, depth, panel, widened);
        for (size_t r = 0; r < rows; r += kernels->gemm_rows) {
            const size_t count = rows - r < kernels->gemm_rows ? rows - r : kernels->gemm_rows;
            const void *a = (const uint32_t *)input.words + r * input.stride;
            const float *residual = job->residual ? job->residual + (first + r) * job->residual_stride + column : NULL;
            float *output = job->output + (first + r) * job->output_stride + column;
            if (job->dtype == gk_dtype_int8) {
                kernels->s8_gemm(
                    count, width, depth, a, input.stride, panel, job->init + column, integers, tile_columns);
                kernels->s8_epilogue(
                    count, columns, integers, tile_columns, input.scales + r, job->column_scales + column, bias,
                    job->activation, residual, job->residual_stride, output, job->output_stride);
                continue;
            }
            // A whole panel without an epilogue is written directly to the output.
            const int direct = !finish && columns == width;
            float *c = direct ? output : tile;
            const size_t c_stride = direct ? job->output_stride : tile_columns;
            if (widened) kernels->gemm(count, width, 2 * depth, a, input.stride, widened, bias, c, c_stride);
            else if (job->dtype == gk_dtype_bfloat16)
                kernels->bf16_gemm(count, width, depth, a, input.stride, panel, bias, c, c_stride);
            else kernels->gemm(count, width, depth, a, input.stride, panel, bias, c, c_stride);
            if (!direct)
                kernels->epilogue(
                    count, columns, tile, tile_columns, job->activation, residual, job->residual_stride, output,
                    job->output_stride);
        }
    }
}
