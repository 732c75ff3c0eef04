// The micro-kernels: functions with one version per instruction set.

#ifndef GENREC_CKERNELS_LEVELS_H
#define GENREC_CKERNELS_LEVELS_H

#include <stddef.h>
#include <stdint.h>

// MARK: Instruction sets

/// The levels of kernels. The numbers are stable only within a build.
typedef enum __attribute__((enum_extensibility(closed))) gk_isa {
    gk_isa_scalar = 0,
    gk_isa_avx2 = 1,
    gk_isa_avx512 = 2,
    /// AVX-512 with dot products of bytes.
    gk_isa_avx512vnni = 3,
    /// The same with products of bfloat16.
    gk_isa_avx512bf16 = 4,
    gk_isa_neon = 5,
    /// Advanced SIMD with dot products of bytes.
    gk_isa_neondotprod = 6,
    /// The same with products of bfloat16.
    gk_isa_neonbf16 = 7,
} gk_isa;

/// Whether this processor and operating system run kernels of this level.
int gk_isa_is_available(gk_isa isa);

// MARK: Kernels

enum {
    /// Floats of a vector, and query rows of an attention tile.
    gk_lanes = 16,
    /// Rows of a page of keys and values: keys are the lanes of a vector in it.
    gk_page_rows = 16,
    /// The number of keys whose scores are kept between the two halves of attention.
    gk_key_block = 128,
    /// The most query rows of an attention tile whose lanes are keys.
    gk_few_rows = 15,
    /// Entries of a padded time bias: more than the buckets that a 64-bit time can reach (0 ... 145).
    gk_time_entries = 160,
    /// Cells of the time bucket table: 64 exponents × 4.
    gk_time_cells = 256,
    /// The number of catalogue rows that are scored and masked together.
    gk_block_rows = 64,
    /// Rows of a page of appended table or catalogue rows.
    gk_page_items = 1024,
    /// Two operations for each multiply-add of 24 vectors.
    gk_probe_operations = 2 * 24 * gk_lanes,
};

typedef enum __attribute__((enum_extensibility(closed))) gk_activation {
    gk_activation_none = 0,
    gk_activation_silu = 1,
    gk_activation_relu = 2,
    /// 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))). Error at most 6 ULP, or 2^-25 where that is more.
    gk_activation_gelu_tanh = 3,
    /// SiLU with a relative error of 2^-11, or an absolute error of 2^-110 where that is more, for products with
    /// bfloat16's precision or less.
    gk_activation_silu_bf16 = 4,
} gk_activation;

typedef enum __attribute__((enum_extensibility(closed))) gk_norm {
    /// (x - mean) / sqrt(variance + epsilon)
    gk_norm_layer = 0,
    /// x / max(‖x‖, epsilon)
    gk_norm_l2 = 1,
    /// x / sqrt(mean(x²) + epsilon)
    gk_norm_rms = 2,
} gk_norm;

/// A row-wise norm and its affine part.
typedef struct gk_normalization {
    gk_norm norm;
    float epsilon;
    /// One entry per column, or NULL; `shift` only together with `scale`.
    const float *scale, *shift;
} gk_normalization;

/// The dimensions that form pair j of a rotation in a head of width d.
typedef enum __attribute__((enum_extensibility(closed))) gk_pairing {
    /// j and j + d/2
    gk_pairing_halves = 0,
    /// 2j and 2j + 1
    gk_pairing_interleaved = 1,
} gk_pairing;

/// `c[r][j] = init[j] + Σ_k a[r][k] · b[k][j]` for rows 1 ... gemm_rows and one panel of `width` columns (4, 8 or a
/// multiple of 16 up to gemm_columns). `b` is packed depth × width; `init` has `width` entries, or is NULL for zeros.
typedef void gk_gemm_fn(
    size_t rows, size_t width, size_t depth, const float *a, size_t a_stride, const float *b, const float *init,
    float *c, size_t c_stride);

/// Rounds rows to bfloat16, to nearest with ties to even, in the form that `bf16_gemm` reads: bf16_words words per
/// pair. Rows are padded with zeros to a multiple of 16 columns.
typedef void gk_bf16_round_fn(
    size_t rows, size_t columns, const float *x, size_t x_stride, void *words, size_t word_stride);

/// As gk_gemm_fn over `depth` pairs of bfloat16, summed in float32: `a` is the output of `bf16_round`, with its stride
/// in words; `b` is packed depth × width words.
typedef void gk_bf16_gemm_fn(
    size_t rows, size_t width, size_t depth, const void *a, size_t a_stride, const uint32_t *b, const float *init,
    float *c, size_t c_stride);

/// Widens a packed panel of `depth` pairs of bfloat16 to float32, exactly: `output` is (2 · depth, width) floats, as
/// `gemm` reads them. The panel may have any width. With bf16_words = 2, `gemm` over it and the output of `bf16_round`
/// gives the bits of `bf16_gemm`.
typedef void gk_widen_panel_fn(size_t width, size_t depth, const uint32_t *panel, float *output);

/// Quantises each row to integers from -127 to 127 with its own scale, `x = scale · integer`, to nearest with ties to
/// even, in the form that `s8_gemm` reads: s8_words words per quad. Rows are padded to a multiple of 16 columns. A
/// row whose magnitude is below GK_S8_LEAST becomes zeros; the scale of a row with NaN or infinity is NaN.
typedef void gk_s8_quantize_fn(
    size_t rows, size_t columns, const float *x, size_t x_stride, uint32_t *words, size_t word_stride, float *scales);
#define GK_S8_LEAST 0x1p-100f

/// As gk_gemm_fn over `depth` quads of int8, exact: `a` is the output of `s8_quantize`, with its stride in words; `b`
/// is packed depth × width words. `init` compensates for s8_zero: it is -s8_zero · Σ_k b[k].
typedef void gk_s8_gemm_fn(
    size_t rows, size_t width, size_t depth, const uint32_t *a, size_t a_stride, const uint32_t *b,
    const int32_t *init, int32_t *c, size_t c_stride);

/// `output = activation(tile · row_scale · column_scale + bias) + residual`: as gk_epilogue_fn for an int8 product. The
/// tile, column scales and bias are readable up to whole vectors; bias may be NULL.
typedef void gk_s8_epilogue_fn(
    size_t rows, size_t columns, const int32_t *tile, size_t tile_stride, const float *row_scales,
    const float *column_scales, const float *bias, gk_activation activation, const float *residual,
    size_t residual_stride, float *output, size_t output_stride);

/// `output = activation(tile) + residual` for some rows and any number of columns; residual may be NULL or the output.
typedef void gk_epilogue_fn(
    size_t rows, size_t columns, const float *tile, size_t tile_stride, gk_activation activation,
    const float *residual, size_t residual_stride, float *output, size_t output_stride);

/// `output[i] = x[i] · sigmoid(x[i])`. Error at most 3 ULP, or 2^-120 where that is more; finite for finite x.
typedef void gk_silu_fn(size_t count, const float *x, float *output);

/// `output[i] = e^x[i]` for x ≤ 0: the weights of softmax. Error at most 3 ULP, or 2^-125 where that is more.
typedef void gk_exp_fn(size_t count, const float *x, float *output);

/// Row-wise layer norm with its affine part, times `gate` unless it is NULL. `output` may be `x`.
typedef void gk_layer_norm_fn(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride);
/// The same with the L2 norm.
typedef gk_layer_norm_fn gk_l2_norm_fn;
/// The same with the root mean square.
typedef gk_layer_norm_fn gk_rms_norm_fn;

/// `output[r] = [gate[r], norm, gate[r] ⊙ norm]`; the middle third of the output row already contains norm.
typedef void gk_concatenate_fn(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, float *output, size_t output_stride);

/// `output[r] = silu(gate[r]) ⊙ x[r]`.
typedef void gk_swiglu_fn(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, const float *x, size_t x_stride,
    float *output, size_t output_stride);

/// Rotates each pair (a, b) of one row's heads, of 2 · pairs columns each: (a·cos - b·sin, a·sin + b·cos).
typedef void gk_rotate_fn(
    size_t heads, size_t pairs, gk_pairing pairing, const float *cosines, const float *sines, float *x);

/// `output[r] = scale · table[ids[r]] + positions[position_ids[r]]`; `positions` may be NULL.
typedef void gk_embed_fn(
    size_t rows, size_t columns, const int32_t *ids, const float *table, float scale, const int32_t *position_ids,
    const float *positions, float *output, size_t output_stride);

/// Bucket numbers of the pairs of 16 query times and `keys` key times, (keys, 16).
typedef void gk_time_buckets_fn(
    const int64_t *query_times, const int64_t *key_times, size_t keys, const uint32_t *cells, uint8_t *buckets);

/// `bias[j][lane] = time[buckets[j][lane]] + position[lane - j]`, (keys, 16). `position` points at the entry of the
/// tile's first query row and key 0; entries from -(keys - 1) to 15 around it are readable. If `time` is NULL, the bias
/// has only the positional part, and `buckets` is not read.
typedef void gk_bias_tile_fn(
    size_t keys, const uint8_t *buckets, const float *time, const float *position, float *bias);

/// One head of consecutive query rows of a sequence, against keys 0 ..< first + rows. The first `cached` keys are in
/// pages, the others in tensors.
typedef struct gk_attention_tile {
    const float *query; size_t query_stride;
    /// Keys computed earlier and their pages: page p of the pool, at pool + p · page_floats, holds the head's keys as
    /// (query_columns, gk_page_rows) and then its values as (gk_page_rows, value_columns). cached ≤ first.
    size_t cached;
    const int32_t *pages;
    const float *pool; size_t page_floats;
    /// Row 0 is key `cached`.
    const float *key; size_t key_stride;
    const float *value; size_t value_stride;
    /// bfloat16 only, instead of own keys and values: consecutive pages like those of the pool, the first of which is
    /// page `cached / gk_page_rows`; and the number of words of one page.
    const uint32_t *own; size_t own_words;
    /// Only for softmax of a tile. With `lane_keys` > 0, all rows attend to the cached keys and to no other shared
    /// ones; each row also attends to `lane_keys` keys of its own: (lane_keys, query_columns, 16) and (lane_keys,
    /// value_columns, 16), at most gk_key_block.
    size_t lane_keys;
    const float *lane_key, *lane_value;
    float *output; size_t output_stride;
    /// NULL for no bias. (first + rows, 16) for a tile, (keys / 16 rounded up, rows, 16) for few rows.
    const float *bias;
    /// The number of query rows, 1 ... 16, or 1 ... gk_few_rows for few rows, and the position of the first in its
    /// sequence.
    size_t rows, first;
    size_t query_columns, value_columns;
    float scale;
    /// Softmax only: added to the score of key 0.
    float first_weight;
    /// 64-byte aligned; gk_tile_scratch floats.
    float *scratch;
} gk_attention_tile;

/// `y_i = scale · Σ_{j ≤ i} silu(q_i · k_j + bias[j][i]) · v_j`. Lanes are query rows. Reads the bias of up to 15 keys
/// beyond the last.
typedef void gk_hstu_tile_fn(const gk_attention_tile *tile);

/// `y_i = Σ_{j ≤ i} softmax_j(scale · (q_i · k_j + bias[j][i]) + (j = 0 ? first_weight : 0)) · v_j`. Lanes are query
/// rows. Reads the bias of up to 15 keys beyond the last.
typedef void gk_softmax_tile_fn(const gk_attention_tile *tile);

/// As the tile kernels, with the same bits, for few rows. Lanes are keys, then value columns, so that one row fills
/// them.
typedef void gk_hstu_few_fn(const gk_attention_tile *tile);
typedef void gk_softmax_few_fn(const gk_attention_tile *tile);

/// Packs up to 16 rows of one head as a page of bfloat16: keys as (key_columns / 2, 16) pairs of columns, then values
/// as (8, value_columns) pairs of rows, with zeros for missing ones. `scratch` is 16 · key_columns floats, columns
/// rounded up to whole vectors.
typedef void gk_bf16_page_fn(
    size_t rows, const float *key, size_t key_stride, size_t key_columns, const float *value, size_t value_stride,
    size_t value_columns, float *scratch, uint32_t *page);
/// The attention kernels for tiles whose pool and own pages are in this form.
typedef gk_hstu_tile_fn gk_bf16_hstu_tile_fn;
typedef gk_softmax_tile_fn gk_bf16_softmax_tile_fn;
typedef gk_hstu_few_fn gk_bf16_hstu_few_fn;
typedef gk_softmax_few_fn gk_bf16_softmax_few_fn;

/// Bit i of the result: scores[i] ≥ floor. False for NaN on either side. 64 scores.
typedef uint64_t gk_scores_at_least_fn(const float *scores, float floor);

/// A bound, from gk_bound_query, on a query's score against a row with integers n and scale s: the score is at most
/// s · (high · Σ h·n + low · Σ l·n + margin) + GK_BOUND_LEAST, where h and l are the query's integers.
typedef struct gk_bound {
    float high, low, margin;
} gk_bound;
#define GK_BOUND_LEAST 0x1p-120f

/// Bit i of the result: whether the score of row i can be ≥ floor, given the integer products of `gk_bound` and the
/// rows' scales. False for NaN. 64 rows.
typedef uint64_t gk_bounds_at_least_fn(
    const int32_t *high, const int32_t *low, const float *scales, const gk_bound *bound, float floor);

/// Only fused multiply-adds in registers: gk_probe_operations floating-point operations per round. Returns a number
/// that depends on all of them.
typedef float gk_probe_fn(size_t rounds);

/// The kernels of one instruction set. No entry is NULL unless its comment says so.
typedef struct gk_kernels {
    gk_isa isa;
    /// The largest number of rows per `gemm` call, and the width of a full panel: a divisor of 64 and a multiple of 16.
    size_t gemm_rows, gemm_columns;
    /// The words of A per pair of bfloat16 and per quad of int8, and the offset added to each quantised integer of A.
    size_t bf16_words, s8_words;
    int32_t s8_zero;
    gk_gemm_fn *gemm;
    gk_epilogue_fn *epilogue;
    gk_silu_fn *silu;
    gk_exp_fn *exp;
    gk_layer_norm_fn *layer_norm;
    gk_l2_norm_fn *l2_norm;
    gk_rms_norm_fn *rms_norm;
    gk_concatenate_fn *concatenate;
    gk_swiglu_fn *swiglu;
    gk_widen_panel_fn *widen_panel;
    gk_embed_fn *embed;
    gk_rotate_fn *rotate;
    gk_time_buckets_fn *time_buckets;
    gk_bias_tile_fn *bias_tile;
    gk_hstu_tile_fn *hstu_tile;
    gk_softmax_tile_fn *softmax_tile;
    gk_hstu_few_fn *hstu_few;
    gk_softmax_few_fn *softmax_few;
    gk_scores_at_least_fn *scores_at_least;
    gk_bounds_at_least_fn *bounds_at_least;
    gk_probe_fn *probe;
    gk_bf16_round_fn *bf16_round;
    gk_bf16_gemm_fn *bf16_gemm;
    gk_s8_quantize_fn *s8_quantize;
    gk_s8_gemm_fn *s8_gemm;
    gk_s8_epilogue_fn *s8_epilogue;
    // Attention in bfloat16. NULL if the level does not multiply bfloat16; attention is then float32, whatever the
    // dtype of projections.
    gk_bf16_page_fn *bf16_page;
    gk_hstu_tile_fn *bf16_hstu_tile;
    gk_softmax_tile_fn *bf16_softmax_tile;
    gk_hstu_few_fn *bf16_hstu_few;
    gk_softmax_few_fn *bf16_softmax_few;
} gk_kernels;

/// The kernels of a level, or NULL if the host lacks it.
const gk_kernels *gk_kernels_for(gk_isa isa);

/// One line of the kernel lists, for tests and diagnostics.
typedef struct gk_kernel_entry {
    const char *name;
    gk_isa isa;
} gk_kernel_entry;

/// All lines of the kernel lists, for all architectures.
const gk_kernel_entry *gk_kernel_entries(size_t *count);

#endif
