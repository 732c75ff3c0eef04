// The scalar kernels: the reference for all other levels, and the fallback on hosts that run none of them. Plain C in
// the order of the formulas, with libm's functions, deliberately not optimised.

#include "../lists/declarations.h"

#include "../drivers/bfloat16.h"
#include "activations.h"

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
            float y = activated(tile[r * tile_stride + j], activation);
            if (residual) y += residual[r * residual_stride + j];
            output[r * output_stride + j] = y;
        }
    }
}

void gk_f32_silu_16__scalar(size_t count, const float *x, float *output) {
    for (size_t i = 0; i < count; i++) output[i] = silu(x[i]);
}

void gk_f32_exp_16__scalar(size_t count, const float *x, float *output) {
    for (size_t i = 0; i < count; i++) output[i] = (float)exp(x[i]);
}

/// The affine part and the gate of one element of a norm's result.
static float affine(
    double y, const gk_normalization *norm, size_t column, const float *gate) {
    if (norm->scale) y *= norm->scale[column];
    if (norm->shift) y += norm->shift[column];
    return gate ? (float)y * gate[column] : (float)y;
}

void gk_f32_layer_norm_4x16__scalar(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride, *g = gate ? gate + r * gate_stride : NULL;
        double sum = 0, squares = 0;
        for (size_t j = 0; j < columns; j++) sum += in[j];
        const double mean = sum / (double)columns;
        for (size_t j = 0; j < columns; j++) squares += (in[j] - mean) * (in[j] - mean);
        const double factor = 1 / sqrt(squares / (double)columns + norm->epsilon);
        for (size_t j = 0; j < columns; j++) output[r * output_stride + j] = affine((in[j] - mean) * factor, norm, j, g);
    }
}

/// Σ x².
static double squares(const float *x, size_t columns) {
    double sum = 0;
    for (size_t j = 0; j < columns; j++) sum += (double)x[j] * x[j];
    return sum;
}

void gk_f32_l2_norm_4x16__scalar(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride, *g = gate ? gate + r * gate_stride : NULL;
        const double length = fmax(sqrt(squares(in, columns)), norm->epsilon);
        for (size_t j = 0; j < columns; j++) output[r * output_stride + j] = affine(in[j] / length, norm, j, g);
    }
}

void gk_f32_rms_norm_4x16__scalar(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride, *g = gate ? gate + r * gate_stride : NULL;
        const double root = sqrt(squares(in, columns) / (double)columns + norm->epsilon);
        for (size_t j = 0; j < columns; j++) output[r * output_stride + j] = affine(in[j] / root, norm, j, g);
    }
}

void gk_f32_swiglu_1x16__scalar(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, const float *x, size_t x_stride,
    float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < columns; j++)
            output[r * output_stride + j] = silu(gate[r * gate_stride + j]) * x[r * x_stride + j];
}

void gk_f32_rotate_1x16__scalar(
    size_t heads, size_t pairs, gk_pairing pairing, const float *cosines, const float *sines, float *x) {
    for (size_t head = 0; head < heads; head++, x += 2 * pairs) {
        for (size_t j = 0; j < pairs; j++) {
            float *a = pairing == gk_pairing_halves ? x + j : x + 2 * j;
            float *b = pairing == gk_pairing_halves ? x + pairs + j : x + 2 * j + 1;
            const float first = *a * cosines[j] - *b * sines[j], second = *a * sines[j] + *b * cosines[j];
            *a = first;
            *b = second;
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
            bias[16 * j + lane] =
                (time ? time[buckets[16 * j + lane]] : 0) + position[(ptrdiff_t)lane - (ptrdiff_t)j];
    }
}

/// The tile's head in the page of key j < cached.
static const float *page_of(const gk_attention_tile *tile, size_t j) {
    return tile->pool + (size_t)tile->pages[j / gk_page_rows] * tile->page_floats;
}

/// Column c of key j.
static float key_at(const gk_attention_tile *tile, size_t j, size_t c) {
    if (j < tile->cached) return page_of(tile, j)[gk_page_rows * c + j % gk_page_rows];
    return tile->key[(j - tile->cached) * tile->key_stride + c];
}

/// The value of key j.
static const float *value_at(const gk_attention_tile *tile, size_t j) {
    if (j < tile->cached)
        return page_of(tile, j) + gk_page_rows * tile->query_columns + j % gk_page_rows * tile->value_columns;
    return tile->value + (j - tile->cached) * tile->value_stride;
}

/// Whether the lanes of the bias are rows or keys.
typedef enum { lanes_are_rows, lanes_are_keys } lanes_are;

/// q · k + bias of the tile's row r and key j.
static float dot(const gk_attention_tile *tile, lanes_are lanes, size_t r, size_t j) {
    float sum = 0;
    if (tile->bias)
        sum = tile->bias[lanes == lanes_are_rows ? 16 * j + r : 16 * (j / 16 * tile->rows + r) + j % 16];
    for (size_t c = 0; c < tile->query_columns; c++)
        sum += tile->query[r * tile->query_stride + c] * key_at(tile, j, c);
    return sum;
}

static void hstu(const gk_attention_tile *tile, lanes_are lanes) {
    for (size_t r = 0; r < tile->rows; r++) {
        float *out = tile->output + r * tile->output_stride;
        for (size_t c = 0; c < tile->value_columns; c++) out[c] = 0;
        for (size_t j = 0; j <= tile->first + r; j++) {
            const float weight = silu(dot(tile, lanes, r, j)), *value = value_at(tile, j);
            for (size_t c = 0; c < tile->value_columns; c++) out[c] += weight * value[c];
        }
        for (size_t c = 0; c < tile->value_columns; c++) out[c] *= tile->scale;
    }
}

void gk_f32_hstu_16__scalar(const gk_attention_tile *tile) { hstu(tile, lanes_are_rows); }
void gk_f32_hstu_few_16__scalar(const gk_attention_tile *tile) { hstu(tile, lanes_are_keys); }

/// The score of the tile's row r and key j: one of the first `shared` keys of the sequence or, after them, the row's
/// own.
static float scaled_score(const gk_attention_tile *tile, lanes_are lanes, size_t r, size_t j, size_t shared) {
    if (j < shared) return dot(tile, lanes, r, j) * tile->scale + (j == 0 ? tile->first_weight : 0);
    float sum = 0;
    for (size_t c = 0; c < tile->query_columns; c++)
        sum += tile->query[r * tile->query_stride + c]
            * tile->lane_key[16 * (tile->query_columns * (j - shared) + c) + r];
    return sum * tile->scale;
}

static void softmax(const gk_attention_tile *tile, lanes_are lanes) {
    for (size_t r = 0; r < tile->rows; r++) {
        const size_t shared = tile->lane_keys ? tile->cached : tile->first + r + 1;
        const size_t keys = shared + tile->lane_keys;
        float *out = tile->output + r * tile->output_stride;
        float most = -INFINITY, total = 0;
        for (size_t j = 0; j < keys; j++) {
            const float score = scaled_score(tile, lanes, r, j, shared);
            if (score > most) most = score;
        }
        for (size_t c = 0; c < tile->value_columns; c++) out[c] = 0;
        for (size_t j = 0; j < keys; j++) {
            const float weight = (float)exp(scaled_score(tile, lanes, r, j, shared) - most);
            const float *value = j < shared ? value_at(tile, j) : tile->lane_value + 16 * tile->value_columns * (j - shared) + r;
            const size_t step = j < shared ? 1 : 16;
            total += weight;
            for (size_t c = 0; c < tile->value_columns; c++) out[c] += weight * value[step * c];
        }
        for (size_t c = 0; c < tile->value_columns; c++) out[c] /= total;
    }
}

void gk_f32_softmax_16__scalar(const gk_attention_tile *tile) { softmax(tile, lanes_are_rows); }
void gk_f32_softmax_few_16__scalar(const gk_attention_tile *tile) { softmax(tile, lanes_are_keys); }

uint64_t gk_f32_at_least_64__scalar(const float *scores, float floor) {
    uint64_t bits = 0;
    for (size_t i = 0; i < 64; i++) bits |= (uint64_t)(scores[i] >= floor) << i;
    return bits;
}

uint64_t gk_f32_bounds_64__scalar(
    const int32_t *high, const int32_t *low, const float *scales, const gk_bound *bound, float floor) {
    uint64_t bits = 0;
    for (size_t i = 0; i < 64; i++) {
        const float most = fmaf((float)high[i], bound->high, fmaf((float)low[i], bound->low, bound->margin));
        bits |= (uint64_t)(fmaf(most, scales[i], GK_BOUND_LEAST) >= floor) << i;
    }
    return bits;
}

float gk_f32_probe_16__scalar(size_t rounds) {
    // Sixteen chains of a product and a sum, 24 times: the operations of this level's other kernels.
    float chain[16], sum = 0;
    for (int i = 0; i < 16; i++) chain[i] = (float)i;
    for (size_t round = 0; round < 24 * rounds; round++)
        for (int i = 0; i < 16; i++) chain[i] = chain[i] * 0.5f + 1.0f;
    for (int i = 0; i < 16; i++) sum += chain[i];
    return sum;
}

void gk_f32_widen_panel_16__scalar(size_t width, size_t depth, const uint32_t *panel, float *output) {
    for (size_t k = 0; k < depth; k++)
        for (size_t j = 0; j < width; j++) {
            const uint32_t pair = panel[k * width + j];
            output[2 * k * width + j] = gk_float_of_bfloat16((uint16_t)pair);
            output[(2 * k + 1) * width + j] = gk_float_of_bfloat16((uint16_t)(pair >> 16));
        }
}
