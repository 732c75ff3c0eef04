// The scalar kernels: what every other level is compared with, and what runs where there is none. Plain C in the order
// of the formulas, with libm's functions; not to be optimised.

#include "../lists/declarations.h"

#include <math.h>

static float silu(float x) { return (float)(x / (1.0 + exp(-(double)x))); }

void gk_f32_gemm_4x16__scalar(
    size_t rows, size_t width, size_t depth, const float *a, size_t a_stride, const float *b, const float *init,
    float *c, size_t c_stride) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < width; j++) {
            float sum = init ? init[j] : 0.0f;
            for (size_t k = 0; k < depth; k++) sum += a[r * a_stride + k] * b[k * width + j];
            c[r * c_stride + j] = sum;
        }
    }
}

void gk_f32_epilogue_1x16__scalar(
    size_t rows, size_t columns, const float *tile, size_t tile_stride, gk_activation activation,
    const float *residual, size_t residual_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            float y = tile[r * tile_stride + j];
            if (activation == gk_activation_silu) y = silu(y);
            if (residual) y += residual[r * residual_stride + j];
            output[r * output_stride + j] = y;
        }
    }
}

void gk_f32_silu_16__scalar(size_t count, const float *x, float *output) {
    for (size_t i = 0; i < count; i++) output[i] = silu(x[i]);
}

void gk_f32_layer_norm_4x16__scalar(
    size_t rows, size_t columns, float epsilon, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        double sum = 0, squares = 0;
        for (size_t j = 0; j < columns; j++) sum += in[j];
        const double mean = sum / (double)columns;
        for (size_t j = 0; j < columns; j++) squares += (in[j] - mean) * (in[j] - mean);
        const double factor = 1 / sqrt(squares / (double)columns + epsilon);
        for (size_t j = 0; j < columns; j++) {
            const float y = (float)((in[j] - mean) * factor);
            output[r * output_stride + j] = gate ? y * gate[r * gate_stride + j] : y;
        }
    }
}

void gk_f32_l2_norm_4x16__scalar(
    size_t rows, size_t columns, float epsilon, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        double squares = 0;
        for (size_t j = 0; j < columns; j++) squares += (double)in[j] * in[j];
        const double length = fmax(sqrt(squares), epsilon);
        for (size_t j = 0; j < columns; j++) {
            const float y = (float)(in[j] / length);
            output[r * output_stride + j] = gate ? y * gate[r * gate_stride + j] : y;
        }
    }
}

void gk_f32_concatenate_1x16__scalar(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        float *out = output + r * output_stride;
        for (size_t j = 0; j < columns; j++) {
            out[j] = gate[r * gate_stride + j];
            out[2 * columns + j] = out[j] * out[columns + j];
        }
    }
}

void gk_f32_embed_1x16__scalar(
    size_t rows, size_t columns, const int32_t *ids, const float *table, float scale, const int32_t *position_ids,
    const float *positions, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            float y = scale * table[(size_t)ids[r] * columns + j];
            if (positions) y += positions[(size_t)position_ids[r] * columns + j];
            output[r * output_stride + j] = y;
        }
    }
}

void gk_s64_time_buckets_16__scalar(
    const int64_t *query_times, const int64_t *key_times, size_t keys, const uint32_t *cells, uint8_t *buckets) {
    (void)cells;
    for (size_t j = 0; j < keys; j++) {
        for (size_t lane = 0; lane < gk_lanes; lane++) {
            const int64_t q = query_times[lane], k = key_times[j];
            const uint64_t distance = q > k ? (uint64_t)q - (uint64_t)k : (uint64_t)k - (uint64_t)q;
            buckets[16 * j + lane] = (uint8_t)gk_time_bucket(distance > INT64_MAX ? INT64_MAX : (int64_t)distance);
        }
    }
}

void gk_f32_bias_tile_16__scalar(
    size_t keys, const uint8_t *buckets, const float *time, const float *position, float *bias) {
    for (size_t j = 0; j < keys; j++) {
        for (size_t lane = 0; lane < gk_lanes; lane++)
            bias[16 * j + lane] = time[buckets[16 * j + lane]] + position[(ptrdiff_t)lane - (ptrdiff_t)j];
    }
}

void gk_f32_hstu_16__scalar(const gk_hstu_tile *tile) {
    for (size_t r = 0; r < tile->rows; r++) {
        float *out = tile->output + r * tile->output_stride;
        for (size_t c = 0; c < tile->value_columns; c++) out[c] = 0;
        for (size_t j = 0; j <= tile->first + r; j++) {
            float score = tile->bias ? tile->bias[16 * j + r] : 0;
            for (size_t c = 0; c < tile->query_columns; c++)
                score += tile->query[r * tile->query_stride + c] * tile->key[j * tile->key_stride + c];
            const float weight = silu(score);
            for (size_t c = 0; c < tile->value_columns; c++) out[c] += weight * tile->value[j * tile->value_stride + c];
        }
        for (size_t c = 0; c < tile->value_columns; c++) out[c] *= tile->scale;
    }
}

uint64_t gk_f32_at_least_64__scalar(const float *scores, float floor) {
    uint64_t bits = 0;
    for (size_t i = 0; i < 64; i++) bits |= (uint64_t)(scores[i] >= floor) << i;
    return bits;
}
