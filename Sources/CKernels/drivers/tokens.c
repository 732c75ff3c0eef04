// Log-probabilities of tokens. The vocabulary is scored one block at a time, in a fixed order; the wanted scores are
// kept, and the sum of exponentials is carried relative to the greatest score (Milakov and Gimelshein, arXiv
// 1805.02867).

#include "CKernels.h"

#include <math.h>

/// The greatest score; NaN is ignored.
static float greatest(const float *x, size_t count) {
    float lanes[gk_lanes];
    for (size_t l = 0; l < gk_lanes; l++) lanes[l] = -INFINITY;
    size_t i = 0;
    for (; i + gk_lanes <= count; i += gk_lanes)
        for (size_t l = 0; l < gk_lanes; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (; i < count; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (size_t l = 1; l < gk_lanes; l++) lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

static double sum_of_exponentials(const gk_kernels *kernels, const float *x, size_t count, float most) {
    enum { part = 256 };
    float shifted[part];
    double sum = 0;
    for (size_t i = 0; i < count; i += part) {
        const size_t n = count - i < part ? count - i : part;
        for (size_t j = 0; j < n; j++) shifted[j] = x[i + j] - most;
        kernels->exp(n, shifted, shifted);
        float lanes[gk_lanes] = {0};
        size_t j = 0;
        for (; j + gk_lanes <= n; j += gk_lanes)
            for (size_t l = 0; l < gk_lanes; l++) lanes[l] += shifted[j + l];
        for (; j < n; j++) lanes[0] += shifted[j];
        for (size_t l = 0; l < gk_lanes; l++) sum += lanes[l];
    }
    return sum;
}

void gk_token_block_run(const void *opaque, size_t row, size_t worker) {
    (void)worker;
    const gk_token_block *job = opaque;
    const float *x = job->scores + row * job->stride;
    gk_token_row *of = &job->rows[row];
    for (; of->next < of->end && (size_t)job->tokens[of->next] < job->begin + job->count; of->next++)
        job->kept[of->next] = x[(size_t)job->tokens[of->next] - job->begin];
    // The part of the block that belongs to the row's sum.
    const size_t low = of->low > job->begin ? of->low : job->begin;
    const size_t high = of->high < job->begin + job->count ? of->high : job->begin + job->count;
    if (low >= high) return;
    const float *part = x + (low - job->begin);
    const float most = greatest(part, high - low);
    if (most > of->most) {
        of->total *= exp((double)of->most - (double)most);
        of->most = most;
    }
    of->total += sum_of_exponentials(job->kernels, part, high - low, of->most);
}
