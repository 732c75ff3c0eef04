// Checks every level of the CPU kernels that the processor supports against plain double-precision sums, without Swift,
// so that the checks run where there is no toolchain, for example under an emulator (`make check-arm`). One line per
// level; exit status 1 for any failure.

#include "CKernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(int holds, const char *what, size_t a, size_t b) {
    if (holds) return;
    if (failures++ < 20) printf("  FAILED: %s (%zu, %zu)\n", what, a, b);
}

static float number(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(int32_t)state / 2147483648.0f;
}

/// Memory of `count` words; never NULL.
static void *words(size_t count) {
    void *memory = aligned_alloc(64, (count * 4 + 127) / 64 * 64);
    if (!memory) abort();
    memset(memory, 0, count * 4);
    return memory;
}

static double silu(double x) { return x / (1 + exp(-x)); }

/// One projection of each dtype, with bias, SiLU and residual: within the rounding errors of the operands.
static void check_linear(const gk_kernels *kernels, gk_dtype dtype, size_t rows, size_t depth, size_t columns) {
    float *x = words(rows * depth), *w = words(depth * columns), *bias = words(columns + 16);
    float *y = words(rows * columns), *residual = words(rows * columns);
    for (size_t i = 0; i < rows * depth; i++) x[i] = number();
    for (size_t i = 0; i < depth * columns; i++) w[i] = number();
    for (size_t i = 0; i < columns; i++) bias[i] = number();
    for (size_t i = 0; i < rows * columns; i++) residual[i] = number();
    const size_t packed = gk_packed_columns(columns, kernels->gemm_columns);
    void *weights = words(packed * gk_packed_depth(dtype, depth));
    float *scales = words(packed);
    int32_t *init = words(packed);
    const gk_packing packing = {
        .source_dtype = gk_dtype_float32, .source = w, .row_step = columns, .column_step = 1, .depth = depth,
        .count = columns, .columns = columns, .full = kernels->gemm_columns, .packed_dtype = dtype, .packed = weights,
        .scales = scales, .sums = init};
    gk_pack(&packing);
    for (size_t i = 0; i < packed; i++) init[i] *= -kernels->s8_zero;
    gk_linear job = {
        .kernels = kernels, .x = x, .x_stride = depth, .x_columns = depth, .rows = rows, .depth = depth,
        .columns = columns, .dtype = dtype, .weights = weights, .column_scales = scales, .init = init, .bias = bias,
        .activation = dtype == gk_dtype_float32 ? gk_activation_silu : gk_activation_silu_bf16, .residual = residual,
        .residual_stride = columns, .output = y, .output_stride = columns, .block_rows = 12,
        .block_columns = kernels->gemm_columns};
    job.scratch_stride = gk_linear_scratch(&job);
    job.scratch = words(job.scratch_stride);
    for (size_t i = 0; i < gk_linear_tasks(&job); i++) gk_linear_run(&job, i, 0);

    // Half a unit of both operands, relatively; for int8, half a step of either's largest magnitude, which is below 1.
    const double unit = dtype == gk_dtype_float32 ? 0x1p-24 * (double)(depth + 4) : 0x1p-8;
    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < columns; n++) {
            double sum = bias[n], magnitude = fabs(bias[n]), steps = 0;
            for (size_t k = 0; k < depth; k++) {
                const double product = (double)x[r * depth + k] * w[k * columns + n];
                sum += product;
                magnitude += fabs(product);
                steps += (fabs(x[r * depth + k]) + fabs(w[k * columns + n])) * 0.51 / 127;
            }
            const double lost = dtype == gk_dtype_int8 ? steps + 1e-4 : 2.01 * unit * magnitude;
            const double value = silu(sum) + residual[r * columns + n];
            const double allowed = 1.1 * lost + 0x1p-11 * fabs(silu(sum)) + 1e-5;
            expect(fabs(y[r * columns + n] - value) <= allowed, "projection", r, n);
        }
    free(x), free(w), free(bias), free(y), free(residual), free(weights), free(scales), free(init), free(job.scratch);
}

/// HSTU and softmax attention of one sequence in either dtype against sums in double; and its last row, which the
/// kernels for few rows compute, to the bit.
static void check_attention(const gk_kernels *kernels, int is_bfloat16, int is_softmax, size_t rows, size_t dqk, size_t dv) {
    enum { heads = 2 };
    const size_t stride = heads * (2 * dqk + dv);
    float *x = words(rows * stride), *y = words(rows * heads * dv), *last = words(heads * dv);
    for (size_t i = 0; i < rows * stride; i++) x[i] = number();
    gk_attention_sequence sequence = {.rows = rows};
    gk_attention job = {
        .kernels = kernels, .weights = is_softmax ? gk_weights_softmax : gk_weights_hstu, .sequences = &sequence,
        .count = 1, .query = x, .query_stride = stride, .key = x + heads * dqk, .key_stride = stride,
        .value = x + 2 * heads * dqk, .value_stride = stride, .output = y, .output_stride = heads * dv, .heads = heads,
        .sharing = 1, .task_heads = heads, .query_columns = dqk, .value_columns = dv, .scale = 0.25f};
    job.scratch_stride = gk_attention_scratch(&job, rows);
    job.scratch = words(job.scratch_stride);
    if (is_bfloat16) {
        job.own_pages = gk_own_pages_plan(&sequence, 1);
        job.own = words(heads * job.own_pages * gk_page_words(dqk, dv));
        for (size_t i = 0; i < job.own_pages; i++) gk_own_pages_run(&job, i, 0);
    }
    const size_t tiles = gk_attention_plan(&sequence, 1, 0);
    for (size_t i = 0; i < gk_attention_tasks(&job, tiles); i++) gk_attention_run(&job, i, 0);
    gk_attention again = job;
    again.last_only = 1;
    again.query = job.query + (rows - 1) * stride;
    again.output = last;
    gk_attention_run(&again, 0, 0);
    expect(!memcmp(last, y + (rows - 1) * heads * dv, heads * dv * sizeof *y), "last row's bits", rows, dqk);

    const double unit = is_bfloat16 ? 0x1p-8 : 0x1p-24 * (double)(rows + dqk);
    double *weight = calloc(rows, sizeof *weight), *relative = calloc(rows, sizeof *relative);
    if (!weight || !relative) abort();
    for (size_t i = 0; i < rows; i++)
        for (size_t h = 0; h < heads; h++) {
            double total = 0, lost_total = 0;
            for (size_t j = 0; j <= i; j++) {
                double score = 0, magnitude = 0;
                for (size_t c = 0; c < dqk; c++) {
                    const double product = (double)x[i * stride + h * dqk + c] * x[j * stride + (heads + h) * dqk + c];
                    score += product;
                    magnitude += fabs(product);
                }
                weight[j] = is_softmax ? exp(0.25 * score) : silu(score);
                // Absolute for HSTU, relative to the weight for softmax.
                relative[j] = is_softmax ? expm1(0.25 * 2.1 * unit * magnitude) + 2.1 * unit
                                         : 1.1 * 2.1 * unit * magnitude + (2.1 * unit + 0x1p-11) * fabs(weight[j]);
                total += weight[j];
                lost_total += weight[j] * relative[j];
            }
            for (size_t c = 0; c < dv; c++) {
                double sum = 0, lost = 1e-6;
                for (size_t j = 0; j <= i; j++) {
                    const double value = x[j * stride + 2 * heads * dqk + h * dv + c];
                    if (is_softmax) {
                        sum += weight[j] / total * value;
                        lost += weight[j] / total * fabs(value) * (relative[j] + lost_total / total);
                    } else {
                        sum += 0.25 * weight[j] * value;
                        lost += 0.25 * relative[j] * fabs(value);
                    }
                }
                expect(fabs(y[(i * heads + h) * dv + c] - sum) <= lost, "attention", i, h * dv + c);
            }
        }
    free(x), free(y), free(last), free(job.scratch), free(job.own), free(weight), free(relative);
}

int main(void) {
    static const char *const names[] = {
        "scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", "neon", "neondotprod", "neonbf16"};
    int levels = 0;
    for (int isa = 0; isa < 8; isa++) {
        const gk_kernels *kernels = gk_kernels_for((gk_isa)isa);
        if (!kernels) continue;
        levels++;
        const int before = failures;
        static const gk_dtype dtypes[] = {gk_dtype_float32, gk_dtype_bfloat16, gk_dtype_int8};
        static const size_t shapes[][3] = {{1, 1, 1}, {7, 25, 50}, {13, 50, 200}, {5, 67, 37}, {3, 256, 130}, {20, 3, 9}};
        for (size_t d = 0; d < 3; d++)
            for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
                check_linear(kernels, dtypes[d], shapes[s][0], shapes[s][1], shapes[s][2]);
        static const size_t sequences[][3] = {{1, 8, 8}, {9, 25, 25}, {17, 1, 3}, {40, 32, 16}, {150, 25, 50}, {33, 128, 29}};
        for (int softmax = 0; softmax < 2; softmax++)
            for (int bf16 = 0; bf16 <= (kernels->bf16_page != NULL); bf16++)
                for (size_t s = 0; s < sizeof sequences / sizeof sequences[0]; s++)
                    check_attention(kernels, bf16, softmax, sequences[s][0], sequences[s][1], sequences[s][2]);
        printf("%-12s %s\n", names[isa], failures == before ? "conforms" : "FAILS");
    }
    return failures || levels < 2;
}
