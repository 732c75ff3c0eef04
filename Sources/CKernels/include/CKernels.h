// The CPU kernels: micro-kernels for one instruction set each, and the drivers that run them over a share of an operation.
// Activations are float32; the products are of float32, bfloat16 or int8. Not here: memory, threads and argument checks, which are ComputeCPU's. Called by ComputeCPU and tests.
//
// Letters: M or R rows, K inputs (depth), N outputs (columns), D width, B sequences or queries, V catalogue rows.
// Strides count elements, not bytes. A "vector" is 16 floats on every instruction set.
//
// Every element of a product is one chain of additions in increasing k, whatever the tile, the row's place in the batch or
// the number of threads: the same row gives the same bits alone and among strangers.
//
// bfloat16 and int8 take their operands in words of 32 bits: a pair of bfloat16, or a quad of int8, that follow one another
// in k. The last word is filled up with zeros.

#ifndef GENREC_CKERNELS_H
#define GENREC_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// MARK: Instruction sets

/// The levels that kernels exist for. The numbers are stable within a build only.
typedef enum __attribute__((enum_extensibility(closed))) gk_isa {
    gk_isa_scalar = 0,
    gk_isa_avx2 = 1,
    gk_isa_avx512 = 2,
    /// AVX-512 with dot products of bytes, and
    gk_isa_avx512vnni = 3,
    /// that with products of bfloat16.
    gk_isa_avx512bf16 = 4,
    gk_isa_neon = 5,
    /// Advanced SIMD with dot products of bytes, and
    gk_isa_neondotprod = 6,
    /// that with products of bfloat16.
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
    /// Keys whose scores are held between the two halves of attention.
    gk_key_block = 128,
    /// Most query rows of an attention tile whose lanes are keys.
    gk_few_rows = 15,
    /// Entries of a padded time bias: more than the buckets that a 64-bit time can reach (0 ... 145).
    gk_time_entries = 160,
    /// Cells of the time bucket table: 64 exponents × 4.
    gk_time_cells = 256,
    /// Catalogue rows that are scored and masked at a time.
    gk_block_rows = 64,
    /// Two a multiply-add: 24 vectors.
    gk_probe_operations = 2 * 24 * gk_lanes,
};

typedef enum __attribute__((enum_extensibility(closed))) gk_activation {
    gk_activation_none = 0,
    gk_activation_silu = 1,
    gk_activation_relu = 2,
    /// 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))). Error at most 6 ULP, or 2^-25 where that is more.
    gk_activation_gelu_tanh = 3,
    /// SiLU within 2^-11 of itself, or 2^-110 where that is more: for products that have no more than bfloat16's precision.
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
    /// An entry a column, or NULL; `shift` only with `scale`.
    const float *scale, *shift;
} gk_normalization;

/// Which dimensions of a head of width d make pair j of a rotation.
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

/// Rounds rows to bfloat16, to nearest with ties to even, in the form that `bf16_gemm` reads: bf16_words words for each pair.
/// Rows are filled up with zeros to a multiple of 16 columns.
typedef void gk_bf16_round_fn(
    size_t rows, size_t columns, const float *x, size_t x_stride, void *words, size_t word_stride);

/// As gk_gemm_fn over `depth` pairs of bfloat16, summed in float32: `a` as `bf16_round` leaves it with its stride in words,
/// `b` packed depth × width words.
typedef void gk_bf16_gemm_fn(
    size_t rows, size_t width, size_t depth, const void *a, size_t a_stride, const uint32_t *b, const float *init,
    float *c, size_t c_stride);

/// Quantises each row to integers from -127 to 127 with its own scale, `x = scale · integer`, to nearest with ties to even, in
/// the form that `s8_gemm` reads: s8_words words for each quad. Rows are filled up to a multiple of 16 columns. A row whose
/// magnitude is below GK_S8_LEAST is zeros; the scale of a row with NaN or infinity is NaN.
typedef void gk_s8_quantize_fn(
    size_t rows, size_t columns, const float *x, size_t x_stride, uint32_t *words, size_t word_stride, float *scales);
#define GK_S8_LEAST 0x1p-100f

/// As gk_gemm_fn over `depth` quads of int8, exact: `a` as `s8_quantize` leaves it with its stride in words, `b` packed depth ×
/// width words. `init` takes back what s8_zero adds: it is -s8_zero · Σ_k b[k].
typedef void gk_s8_gemm_fn(
    size_t rows, size_t width, size_t depth, const uint32_t *a, size_t a_stride, const uint32_t *b,
    const int32_t *init, int32_t *c, size_t c_stride);

/// `output = activation(tile · row_scale · column_scale + bias) + residual`: as gk_epilogue_fn for an int8 product. The tile,
/// column scales and bias can be read to whole vectors; bias may be NULL.
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

/// Row-wise layer norm with its affine part, times `gate` where that is not NULL. `output` may be `x`.
typedef void gk_layer_norm_fn(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride);
/// The same with the L2 norm.
typedef gk_layer_norm_fn gk_l2_norm_fn;
/// The same with the root of the mean square.
typedef gk_layer_norm_fn gk_rms_norm_fn;

/// `output[r] = [gate[r], norm, gate[r] ⊙ norm]`, where norm already stands in the middle third of the output row.
typedef void gk_concatenate_fn(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, float *output, size_t output_stride);

/// `output[r] = silu(gate[r]) ⊙ x[r]`.
typedef void gk_swiglu_fn(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, const float *x, size_t x_stride,
    float *output, size_t output_stride);

/// Turns each pair (a, b) of one row's heads, of 2 · pairs columns each, into (a·cos - b·sin, a·sin + b·cos).
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
/// tile's first query row and key 0; entries from -(keys - 1) to 15 around it can be read. `time` NULL: the position's
/// part alone, and `buckets` is not read.
typedef void gk_bias_tile_fn(
    size_t keys, const uint8_t *buckets, const float *time, const float *position, float *bias);

/// One head of some query rows that follow one another in a sequence, against keys 0 ..< first + rows: the first `cached`
/// of them in pages, the others in tensors.
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
    /// bfloat16 alone, in place of own keys and values: pages like those of the pool, one after another, the first of them
    /// page `cached / gk_page_rows`; words of one.
    const uint32_t *own; size_t own_words;
    float *output; size_t output_stride;
    /// NULL for no bias. Of a tile (first + rows, 16), of few rows (keys / 16 rounded up, rows, 16).
    const float *bias;
    /// Query rows, 1 ... 16, of few rows 1 ... gk_few_rows, and the place of the first of them in its sequence.
    size_t rows, first;
    size_t query_columns, value_columns;
    float scale;
    /// Softmax alone: what is added to the score of key 0.
    float first_weight;
    /// 64-byte aligned; gk_tile_scratch floats.
    float *scratch;
} gk_attention_tile;

/// `y_i = scale · Σ_{j ≤ i} silu(q_i · k_j + bias[j][i]) · v_j`. Lanes are query rows. Reads the bias of up to 15 keys
/// behind the last.
typedef void gk_hstu_tile_fn(const gk_attention_tile *tile);

/// `y_i = Σ_{j ≤ i} softmax_j(scale · (q_i · k_j + bias[j][i]) + (j = 0 ? first_weight : 0)) · v_j`. Lanes are query rows.
/// Reads the bias of up to 15 keys behind the last.
typedef void gk_softmax_tile_fn(const gk_attention_tile *tile);

/// The same for few rows, to the bit: lanes are keys and then columns of values, so that a single row fills them.
typedef void gk_hstu_few_fn(const gk_attention_tile *tile);
typedef void gk_softmax_few_fn(const gk_attention_tile *tile);

/// Packs up to 16 rows of one head as a page of bfloat16: keys as (key_columns / 2, 16) pairs of columns, then values as
/// (8, value_columns) pairs of rows, what is missing filled up with zeros. `scratch` is 16 · key_columns floats, columns rounded up to whole vectors.
typedef void gk_bf16_page_fn(
    size_t rows, const float *key, size_t key_stride, size_t key_columns, const float *value, size_t value_stride,
    size_t value_columns, float *scratch, uint32_t *page);
/// The attention kernels take tiles whose pool and own pages are such words.
typedef gk_hstu_tile_fn gk_bf16_hstu_tile_fn;
typedef gk_softmax_tile_fn gk_bf16_softmax_tile_fn;
typedef gk_hstu_few_fn gk_bf16_hstu_few_fn;
typedef gk_softmax_few_fn gk_bf16_softmax_few_fn;

/// Bit i of the result: scores[i] ≥ floor. False for NaN on either side. 64 scores.
typedef uint64_t gk_scores_at_least_fn(const float *scores, float floor);

/// Nothing but fused multiply-adds in registers: gk_probe_operations floating-point operations a round. Returns a number that
/// depends on all of them.
typedef float gk_probe_fn(size_t rounds);

/// The kernels of one instruction set. No entry is NULL but where it says so.
typedef struct gk_kernels {
    gk_isa isa;
    /// Most rows of a `gemm` call, and the width of a full panel: a divisor of 64 and a multiple of 16.
    size_t gemm_rows, gemm_columns;
    /// Words of A for a pair of bfloat16, and for a quad of int8; what is added to a quantised integer of A.
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
    gk_embed_fn *embed;
    gk_rotate_fn *rotate;
    gk_time_buckets_fn *time_buckets;
    gk_bias_tile_fn *bias_tile;
    gk_hstu_tile_fn *hstu_tile;
    gk_softmax_tile_fn *softmax_tile;
    gk_hstu_few_fn *hstu_few;
    gk_softmax_few_fn *softmax_few;
    gk_scores_at_least_fn *scores_at_least;
    gk_probe_fn *probe;
    gk_bf16_round_fn *bf16_round;
    gk_bf16_gemm_fn *bf16_gemm;
    gk_s8_quantize_fn *s8_quantize;
    gk_s8_gemm_fn *s8_gemm;
    gk_s8_epilogue_fn *s8_epilogue;
    // Attention in bfloat16: NULL where the level does not multiply it; attention is then float32 whatever products are of.
    gk_bf16_page_fn *bf16_page;
    gk_hstu_tile_fn *bf16_hstu_tile;
    gk_softmax_tile_fn *bf16_softmax_tile;
    gk_hstu_few_fn *bf16_hstu_few;
    gk_softmax_few_fn *bf16_softmax_few;
} gk_kernels;

/// The kernels of a level, or NULL where the host does not have it.
const gk_kernels *gk_kernels_for(gk_isa isa);

/// One line of the kernel lists, for tests and diagnostics.
typedef struct gk_kernel_entry {
    const char *name;
    gk_isa isa;
} gk_kernel_entry;

/// Every line of the lists, of all architectures.
const gk_kernel_entry *gk_kernel_entries(size_t *count);

// MARK: Packing

typedef enum __attribute__((enum_extensibility(closed))) gk_dtype {
    gk_dtype_float32 = 0,
    gk_dtype_float16 = 1,
    gk_dtype_bfloat16 = 2,
    gk_dtype_int8 = 3,
} gk_dtype;

/// `output[i] = source[i]` as float32; the source needs no alignment.
void gk_widen(gk_dtype dtype, const void *source, size_t count, float *output);

/// Width of the panel that begins at `column` of a matrix with `columns` columns: a full panel while one fits, then
/// whole vectors, then 8 or 4 columns for what is left (16 where that is more than 8).
size_t gk_panel_width(size_t column, size_t columns, size_t full);

/// Columns after packing: `columns` and the zeros that fill its last panel.
size_t gk_packed_columns(size_t columns, size_t full);

/// Words of K deep columns after packing, a column: K, ⌈K / 2⌉ or ⌈K / 4⌉.
size_t gk_packed_depth(gk_dtype packed, size_t depth);

/// Packs `count` columns of a K × N matrix, from `first_source` on, as columns `first` ... of a packed matrix with
/// `columns` columns in all: panel after panel, each gk_packed_depth × width words of the packed dtype (float32, bfloat16
/// rounded to nearest with ties to even, or int8). Element (k, n) of the source is `source[k · row_step + n · column_step]`.
/// The packed matrix has gk_packed_depth · gk_packed_columns words, zeroed before.
///
/// int8: column n is `scales[n]` times integers from -127 to 127, whose sum is `sums[n]`; both are counted from column `first`
/// of the packed matrix on, and are not read otherwise.
typedef struct gk_packing {
    gk_dtype source_dtype;
    const void *source; size_t row_step, column_step;
    size_t depth, first_source, count, first, columns, full;
    gk_dtype packed_dtype;
    void *packed;
    float *scales;
    int32_t *sums;
} gk_packing;

void gk_pack(const gk_packing *job);

// MARK: Linear

typedef enum __attribute__((enum_extensibility(closed))) gk_input {
    gk_input_plain = 0,
    /// norm(x)
    gk_input_normalized = 1,
    /// gate ⊙ norm(x)
    gk_input_gated = 2,
    /// [gate, norm(x), gate ⊙ norm(x)]
    gk_input_concatenated = 3,
    /// silu(gate) ⊙ x
    gk_input_swiglu = 4,
} gk_input;

/// `output = activation(input · W + bias) + residual`, cut into row_blocks × column_blocks tasks.
typedef struct gk_linear {
    const gk_kernels *kernels;
    gk_input input;
    gk_normalization norm;
    /// `x_columns` is K, or K / 3 for a concatenated input.
    const float *x; size_t x_stride; size_t x_columns;
    const float *gate; size_t gate_stride;
    size_t rows, depth, columns;
    /// What the weights are packed in, and what the product is of.
    gk_dtype dtype;
    const void *weights;
    /// int8 alone: the columns' scales, and what `s8_gemm` begins with; gk_packed_columns entries each.
    const float *column_scales;
    const int32_t *init;
    /// gk_packed_columns entries, or NULL.
    const float *bias;
    gk_activation activation;
    const float *residual; size_t residual_stride;
    float *output; size_t output_stride;
    /// Rows of a task, a multiple of gemm_rows; columns of a task, a multiple of gemm_columns.
    size_t block_rows, block_columns;
    /// gk_linear_scratch floats a worker, 64-byte aligned.
    float *scratch; size_t scratch_stride;
} gk_linear;

size_t gk_linear_tasks(const gk_linear *job);
size_t gk_linear_scratch(const gk_linear *job);
/// Runs task `index` of the gk_linear behind `job` as worker `worker`.
void gk_linear_run(const void *job, size_t index, size_t worker);

// MARK: Rows

/// Runs the norm's kernel; arguments as of gk_layer_norm_fn.
void gk_normalize(
    const gk_kernels *kernels, const gk_normalization *norm, size_t rows, size_t columns, const float *x,
    size_t x_stride, const float *gate, size_t gate_stride, float *output, size_t output_stride);

/// `output[r] = norm(x[r])`, in tasks of `block_rows`.
typedef struct gk_rows {
    const gk_kernels *kernels;
    gk_normalization norm;
    size_t rows, columns, block_rows;
    const float *x; size_t x_stride;
    float *output; size_t output_stride;
} gk_rows;

void gk_rows_run(const void *job, size_t index, size_t worker);

/// Runs the embedding's kernel in tasks of `block_rows` rows; arguments as of gk_embed_fn.
typedef struct gk_embedding {
    const gk_kernels *kernels;
    size_t rows, columns, block_rows;
    const int32_t *ids;
    const float *table;
    float scale;
    const int32_t *position_ids;
    const float *positions;
    float *output; size_t output_stride;
} gk_embedding;

void gk_embedding_run(const void *job, size_t index, size_t worker);

/// Smallest and largest of `count` ids; 0 and -1 when there are none.
void gk_id_range(const int32_t *ids, size_t count, int32_t *least, int32_t *most);

// MARK: Rotation

/// Cosines and sines of rotations: row i of `table` is `pairs` cosines and then as many sines of the float32 products
/// position · frequency, in tasks of `block_rows` rows.
typedef struct gk_angles {
    size_t pairs;
    const float *frequencies;
    /// The position of row i; NULL: i.
    const int32_t *positions;
    size_t rows, block_rows;
    float *table;
} gk_angles;

void gk_angles_run(const void *job, size_t index, size_t worker);

/// Rotates the heads of every row in place, in tasks of `block_rows` rows.
typedef struct gk_rotation {
    const gk_kernels *kernels;
    size_t rows, heads, pairs, block_rows;
    gk_pairing pairing;
    /// What gk_angles_run filled, and its row for each row of x; NULL: the same.
    const float *table; const int32_t *table_rows;
    float *x; size_t x_stride;
} gk_rotation;

void gk_rotation_run(const void *job, size_t index, size_t worker);

// MARK: Attention

/// The table that `time_buckets` reads: gk_time_cells entries. Writes the same values every time.
void gk_time_cells_fill(uint32_t *cells);

/// The bucket of a time difference in seconds, straight from the definition, before the clamp to the bias' count:
/// trunc(ln(max(1, |difference|)) / 0.301), each step in float32. For tests; the table is made from it.
int32_t gk_time_bucket(int64_t difference);

typedef enum __attribute__((enum_extensibility(closed))) gk_weights {
    gk_weights_hstu = 0,
    gk_weights_softmax = 1,
} gk_weights;

/// One sequence of an attention.
typedef struct gk_attention_sequence {
    /// The first of its own rows in the tensors of keys and values, and how many there are, ≥ 1.
    size_t begin, rows;
    /// Rows computed earlier, and the pages that hold them.
    size_t cached; const int32_t *pages;
    /// Softmax alone: what is added to the score of its first key.
    float first_weight;
    /// Whether it has a bias; else nothing below is read.
    int biased;
    /// cached + rows + 1 times, the last that of the next row or the request. Not read without `time`.
    const int64_t *times;
    /// gk_attention_bucket_bytes kept from one layer to the next; NULL: computed anew.
    uint8_t *buckets;
    /// Tiles of the sequences before it, and own pages of bfloat16.
    size_t tiles, own_page;
} gk_attention_sequence;

/// Attention of all heads over a jagged batch; a task is a share of the heads of one query tile of one sequence. Tiles are
/// counted from a sequence's end, so that only its first tile can be short.
typedef struct gk_attention {
    const gk_kernels *kernels;
    gk_weights weights;
    const gk_attention_sequence *sequences; size_t count;
    /// Only the last row of each sequence asks; query and output rows are numbered by sequence.
    int last_only;
    const float *query; size_t query_stride;
    const float *key; size_t key_stride;
    const float *value; size_t value_stride;
    float *output; size_t output_stride;
    /// Page 0 of the layer, floats from one page to the next and from one key head to the next within a page.
    const float *pool; size_t page_floats, head_floats;
    /// bfloat16 alone: the own rows of all sequences as pages, head after head, `own_pages` pages each.
    uint32_t *own; size_t own_pages;
    /// Query heads, how many of them share a key and value head, and how many make a task.
    size_t heads, sharing, task_heads;
    size_t query_columns, value_columns;
    float scale;
    /// `position[d]` is the bias of a key d rows before its query, `relative[k]` that of a key k rows after it; 32 zeros
    /// lie around either.
    const float *position, *relative;
    /// gk_time_entries entries, or NULL: the bias has no such part.
    const float *time;
    const uint32_t *cells;
    /// gk_attention_scratch floats a worker, 64-byte aligned.
    float *scratch; size_t scratch_stride;
} gk_attention;

/// Fills `tiles` of all sequences and returns how many there are together.
size_t gk_attention_plan(gk_attention_sequence *sequences, size_t count, int last_only);
/// Own pages of bfloat16 of all sequences together; fills `own_page` of each.
size_t gk_own_pages_plan(gk_attention_sequence *sequences, size_t count);
/// Words of a head's page of bfloat16.
size_t gk_page_words(size_t query_columns, size_t value_columns);
/// Packs own page `index` of all heads.
void gk_own_pages_run(const void *job, size_t index, size_t worker);
/// Bytes of the buckets of a sequence all of whose rows ask.
size_t gk_attention_bucket_bytes(size_t cached, size_t rows);
/// Floats that a kernel needs for a tile's scratch.
size_t gk_tile_scratch(size_t query_columns, size_t value_columns);
/// Floats of scratch a worker for sequences of up to `longest` rows, cached ones included.
size_t gk_attention_scratch(const gk_attention *job, size_t longest);
size_t gk_attention_tasks(const gk_attention *job, size_t tiles);
/// Fills `buckets` of one tile of the sequences that have them: task `index` of as many as there are tiles.
void gk_buckets_run(const void *job, size_t index, size_t worker);
void gk_attention_run(const void *job, size_t index, size_t worker);

// MARK: Pages

/// Rows that one page receives.
typedef struct gk_page_copy {
    int32_t page;
    /// The first row's place in the page, how many there are (1 ... gk_page_rows), and the row of the batch it is.
    uint32_t first, count, row;
} gk_page_copy;

/// Copies rows of one layer into pages; a task is a part. A page of the layer holds of each head the keys as (key_columns,
/// gk_page_rows) and then the values as (gk_page_rows, value_columns), or both as `bf16_page` packs them.
typedef struct gk_page_copies {
    const gk_kernels *kernels;
    /// float32 or bfloat16.
    gk_dtype dtype;
    /// bfloat16 alone: 16 · key_columns floats a worker, columns rounded up to whole vectors.
    float *scratch; size_t scratch_stride;
    /// No two of them write the same page.
    const gk_page_copy *parts;
    const float *key; size_t key_stride;
    const float *value; size_t value_stride;
    /// Page 0 of the layer, and the floats from one page to the next.
    float *pages; size_t page_floats;
    size_t heads, key_columns, value_columns;
} gk_page_copies;

void gk_page_copies_run(const void *job, size_t index, size_t worker);

// MARK: Probe

/// Measures what the processor can do at most; a task is `rounds` rounds of the probe.
typedef struct gk_probes {
    const gk_kernels *kernels;
    /// float32, bfloat16 or int8.
    gk_dtype dtype;
    size_t rounds;
    /// A number a worker, 16 apart: where results go, so that they are computed.
    float *results;
} gk_probes;

/// Operations of one round.
size_t gk_probe_count(const gk_probes *job);
void gk_probes_run(const void *job, size_t index, size_t worker);

/// Measures how fast memory can be read at most; a task reads `task_words` words, the last one what is left.
typedef struct gk_reads {
    /// Aligned to 64 bytes.
    const uint64_t *memory;
    size_t words, task_words;
    /// A number a worker, 8 apart: the sum of what it has read, so that it is read.
    uint64_t *sums;
} gk_reads;

void gk_reads_run(const void *job, size_t index, size_t worker);

// MARK: Top-k

/// One selected catalogue row. Same layout as Compute's ScoredRow.
typedef struct gk_scored {
    int32_t row;
    float score;
} gk_scored;

/// What one query of a scan wants.
typedef struct gk_scan_query {
    /// One bit a row, `words` words of it; rows behind them are not allowed. NULL: all.
    const uint64_t *allowed; size_t words;
    /// Ascending.
    const int32_t *excluded; size_t excluded_count;
    /// How many at most, ≥ 1.
    size_t count;
    /// Where the query's selection begins in a worker's share of `found`.
    size_t first;
} gk_scan_query;

/// Scores a catalogue against queries and keeps each query's best; a task is `task_blocks` blocks of 64 rows.
typedef struct gk_scan {
    const gk_kernels *kernels;
    size_t queries, depth;
    /// What the catalogue is packed in: float32 or bfloat16.
    gk_dtype dtype;
    /// Floats, or what `bf16_round` makes of them with the stride in words.
    const void *query; size_t query_stride;
    const gk_scan_query *wants;
    /// The catalogue's rows as columns, packed.
    const void *items;
    size_t item_rows;
    /// One bit a row, blocks · 64 of them.
    const uint64_t *eligible;
    size_t task_blocks;
    /// (workers, found_stride): every worker's selections, a heap a query.
    gk_scored *found; size_t found_stride;
    /// (workers, queries): how many of them there are; zero before the scan.
    uint32_t *found_counts;
    size_t workers;
} gk_scan;

size_t gk_scan_tasks(const gk_scan *job);
/// Tasks must be taken in increasing order by each worker.
void gk_scan_run(const void *job, size_t index, size_t worker);

/// The second half of a selection: a task merges what the workers found for one query.
typedef struct gk_merge {
    const gk_scan *scan;
    /// (queries, merged_stride) entries of scratch, workers · count of them for the query that wants most.
    gk_scored *merged; size_t merged_stride;
} gk_merge;

/// Leaves query `index`'s selection in worker 0's share of `found`, best first, and its length in `found_counts`.
void gk_merge_run(const void *job, size_t index, size_t worker);

#endif
