// Measures the processor's peak: in float32 with chains of multiply-adds in registers, in other types with the
// product's own micro-kernel on operands in the first-level cache. A plain read measures the memory's peak.

#include "CKernels.h"

/// Words of depth of the probe's products.
enum { depth = 32, most_rows = 6, most_columns = 64, most_words = 2 };

size_t gk_probe_count(const gk_probes *job) {
    const size_t product = 2 * job->kernels->gemm_rows * job->kernels->gemm_columns * depth;
    switch (job->dtype) {
    case gk_dtype_bfloat16: return 2 * product;
    case gk_dtype_int8: return 4 * product;
    default: return gk_probe_operations;
    }
}

/// Multiplies zeros, because the time does not depend on the operands.
static float multiply(const gk_probes *job) {
    static const uint32_t a[most_rows * depth * most_words] __attribute__((aligned(64)));
    static const uint32_t b[most_columns * depth] __attribute__((aligned(64)));
    static const int32_t zeros[most_columns];
    const gk_kernels *kernels = job->kernels;
    const size_t rows = kernels->gemm_rows, columns = kernels->gemm_columns;
    int32_t c[most_rows * most_columns] __attribute__((aligned(64))) = {0};
    for (size_t round = 0; round < job->rounds; round++) {
        if (job->dtype == gk_dtype_int8)
            kernels->s8_gemm(rows, columns, depth, a, depth * kernels->s8_words, b, zeros, c, columns);
        else
            kernels->bf16_gemm(
                rows, columns, depth, a, depth * kernels->bf16_words, b, NULL, (float *)c, columns);
    }
    return (float)c[0];
}

void gk_probes_run(const void *opaque, size_t index, size_t worker) {
    (void)index;
    const gk_probes *job = opaque;
    job->results[gk_lanes * worker] +=
        job->dtype == gk_dtype_float32 ? job->kernels->probe(job->rounds) : multiply(job);
}

void gk_reads_run(const void *opaque, size_t index, size_t worker) {
    const gk_reads *job = opaque;
    const size_t begin = index * job->task_words;
    const size_t end = job->words - begin < job->task_words ? job->words : begin + job->task_words;
    // Independent sums, so that only the memory causes stalls.
    enum { lanes = 32 };
    uint64_t sums[lanes] = {0};
    size_t word = begin;
    for (; word + lanes <= end; word += lanes)
        for (size_t lane = 0; lane < lanes; lane++) sums[lane] += job->memory[word + lane];
    for (; word < end; word++) sums[0] += job->memory[word];
    for (size_t lane = 0; lane < lanes; lane++) job->sums[8 * worker] += sums[lane];
}
