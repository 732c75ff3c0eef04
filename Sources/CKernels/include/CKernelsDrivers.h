// The drivers. Each runs micro-kernels over one task of an operation; threads take one task at a time.

#ifndef GENREC_CKERNELS_DRIVERS_H
#define GENREC_CKERNELS_DRIVERS_H

#include "CKernelsLevels.h"

// MARK: Packing

typedef enum __attribute__((enum_extensibility(closed))) gk_dtype {
    gk_dtype_float32 = 0,
    gk_dtype_float16 = 1,
    gk_dtype_bfloat16 = 2,
    gk_dtype_int8 = 3,
} gk_dtype;

/// `output[i] = source[i]` as float32; the source needs no alignment.
void gk_widen(gk_dtype dtype, const void *source, size_t count, float *output);

/// Width of the panel that starts at `column` of a matrix with `columns` columns: a full panel while one fits, then
/// whole vectors, then 8 or 4 columns for the rest (16 if it is more than 8).
size_t gk_panel_width(size_t column, size_t columns, size_t full);

/// Columns after packing: `columns` plus the zeros that pad the last panel.
size_t gk_packed_columns(size_t columns, size_t full);

/// Words of a packed column of K inputs: K, ⌈K / 2⌉ or ⌈K / 4⌉.
size_t gk_packed_depth(gk_dtype packed, size_t depth);

/// Packs `count` columns of a K × N matrix, from `first_source` on, as columns `first` ... of a packed matrix with
/// `columns` columns in total: panel after panel, each gk_packed_depth × width words of the packed dtype (float32,
/// bfloat16 rounded to nearest with ties to even, or int8). Element (k, n) of the source is
/// `source[k · row_step + n · column_step]`. The packed matrix has gk_packed_depth · gk_packed_columns words, which the
/// caller must have zeroed.
///
/// int8: column n is `scales[n]` times integers from -127 to 127, whose sum is `sums[n]`; both arrays are indexed from
/// column `first` of the packed matrix, and unused for other dtypes.
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

/// `output = activation(input · W + bias) + residual`, divided into row_blocks × column_blocks tasks.
typedef struct gk_linear {
    const gk_kernels *kernels;
    gk_input input;
    gk_normalization norm;
    /// `x_columns` is K, or K / 3 for a concatenated input.
    const float *x; size_t x_stride; size_t x_columns;
    const float *gate; size_t gate_stride;
    size_t rows, depth, columns;
    /// The type of the packed weights and of the products.
    gk_dtype dtype;
    const void *weights;
    /// int8 only: the scales of the columns and the initial values of `s8_gemm`; gk_packed_columns entries each.
    const float *column_scales;
    const int32_t *init;
    /// gk_packed_columns entries, or NULL.
    const float *bias;
    gk_activation activation;
    const float *residual; size_t residual_stride;
    float *output; size_t output_stride;
    /// Rows of a task, a multiple of gemm_rows; columns of a task, a multiple of gemm_columns.
    size_t block_rows, block_columns;
    /// gk_linear_scratch floats per worker, 64-byte aligned.
    float *scratch; size_t scratch_stride;
} gk_linear;

size_t gk_linear_tasks(const gk_linear *job);
size_t gk_linear_scratch(const gk_linear *job);
/// Runs task `index` of the gk_linear at `job` as worker `worker`.
void gk_linear_run(const void *job, size_t index, size_t worker);

// MARK: Rows

/// Runs the norm's kernel; arguments as for gk_layer_norm_fn.
void gk_normalize(
    const gk_kernels *kernels, const gk_normalization *norm, size_t rows, size_t columns, const float *x,
    size_t x_stride, const float *gate, size_t gate_stride, float *output, size_t output_stride);

/// `output[r] = norm(x[r])`, in tasks of `block_rows`.
typedef struct gk_rows {
    const gk_kernels *kernels;
    gk_normalization norm;
    /// A row has `groups` × `columns` columns. Each group is normalised separately.
    size_t rows, columns, groups, block_rows;
    const float *x; size_t x_stride;
    float *output; size_t output_stride;
} gk_rows;

void gk_rows_run(const void *job, size_t index, size_t worker);

/// Runs the embedding's kernel in tasks of `block_rows` rows; arguments as for gk_embed_fn.
typedef struct gk_embedding {
    const gk_kernels *kernels;
    size_t rows, columns, block_rows;
    const int32_t *ids;
    const float *table;
    /// Pages of gk_page_items rows, which hold the table's rows from `first_paged` on; NULL: no id is that large.
    const void *const *pages; int32_t first_paged;
    float scale;
    const int32_t *position_ids;
    const float *positions;
    float *output; size_t output_stride;
} gk_embedding;

void gk_embedding_run(const void *job, size_t index, size_t worker);

/// The smallest and the largest of `count` ids; 0 and -1 if there are none.
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
    /// The table filled by gk_angles_run, and the table row for each row of x; NULL: the same number.
    const float *table; const int32_t *table_rows;
    float *x; size_t x_stride;
} gk_rotation;

void gk_rotation_run(const void *job, size_t index, size_t worker);

// MARK: Attention

/// The table that `time_buckets` reads: gk_time_cells entries. Every call writes the same values.
void gk_time_cells_fill(uint32_t *cells);

/// The bucket of a time difference in seconds, directly from the definition, before the clamp to the bias's length:
/// trunc(ln(max(1, |difference|)) / 0.301), each step in float32. For tests; the table is made from it.
int32_t gk_time_bucket(int64_t difference);

typedef enum __attribute__((enum_extensibility(closed))) gk_weights {
    gk_weights_hstu = 0,
    gk_weights_softmax = 1,
} gk_weights;

/// One sequence of an attention.
typedef struct gk_attention_sequence {
    /// The first own row in the tensors of keys and values, and the number of own rows, ≥ 1.
    size_t begin, rows;
    /// The number of rows computed earlier, and their pages.
    size_t cached; const int32_t *pages;
    /// Softmax only: added to the score of the first key.
    float first_weight;
    /// Whether the sequence has a bias. Without one, the following fields are not read.
    int biased;
    /// cached + rows + 1 times; the last is that of the next row or the request. Not read without `time`.
    const int64_t *times;
    /// gk_attention_bucket_bytes, kept from one layer to the next; NULL: every layer computes the buckets.
    uint8_t *buckets;
    /// The numbers of tiles, and of own bfloat16 pages, of the sequences before this one.
    size_t tiles, own_page;
} gk_attention_sequence;

/// Attention of all heads over a jagged batch. A task is a group of heads of one query tile of one sequence. Tiles are
/// counted from the end of a sequence, so only its first tile can be short.
typedef struct gk_attention {
    const gk_kernels *kernels;
    gk_weights weights;
    const gk_attention_sequence *sequences; size_t count;
    /// Only the last row of each sequence is a query; query and output rows are then numbered by sequence.
    int last_only;
    const float *query; size_t query_stride;
    const float *key; size_t key_stride;
    const float *value; size_t value_stride;
    float *output; size_t output_stride;
    /// Page 0 of the layer, and the stride in floats between pages and, within a page, between key heads.
    const float *pool; size_t page_floats, head_floats;
    /// bfloat16 only: the own rows of all sequences as pages, one head after the other, `own_pages` pages per head.
    uint32_t *own; size_t own_pages;
    /// The number of query heads, how many of them share a key and value head, and how many form a task.
    size_t heads, sharing, task_heads;
    size_t query_columns, value_columns;
    float scale;
    /// `position[d]` is the bias of a key d rows before its query, `relative[k]` that of a key k rows after it; 32
    /// zeros precede and follow each.
    const float *position, *relative;
    /// gk_time_entries entries, or NULL: the bias has no time part.
    const float *time;
    const uint32_t *cells;
    /// gk_attention_scratch floats per worker, 64-byte aligned.
    float *scratch; size_t scratch_stride;
} gk_attention;

/// Fills `tiles` of all sequences; returns the total number of tiles.
size_t gk_attention_plan(gk_attention_sequence *sequences, size_t count, int last_only);
/// Fills `own_page` of each sequence; returns the total number of own bfloat16 pages.
size_t gk_own_pages_plan(gk_attention_sequence *sequences, size_t count);
/// Words of a head's bfloat16 page.
size_t gk_page_words(size_t query_columns, size_t value_columns);
/// Packs own page `index` of all heads.
void gk_own_pages_run(const void *job, size_t index, size_t worker);
/// Bytes of the buckets of a sequence in which every row is a query.
size_t gk_attention_bucket_bytes(size_t cached, size_t rows);
/// Scratch floats that a kernel needs for a tile.
size_t gk_tile_scratch(size_t query_columns, size_t value_columns);
/// Scratch floats per worker for sequences of up to `longest` rows, including cached ones.
size_t gk_attention_scratch(const gk_attention *job, size_t longest);
size_t gk_attention_tasks(const gk_attention *job, size_t tiles);
/// Fills `buckets` of one tile, for sequences with buckets; `index` is the tile's number.
void gk_buckets_run(const void *job, size_t index, size_t worker);
void gk_attention_run(const void *job, size_t index, size_t worker);

// MARK: Pages

/// Rows for one page.
typedef struct gk_page_copy {
    int32_t page;
    /// The offset of the first row in the page, the number of rows (1 ... gk_page_rows), and the first row's number in
    /// the batch.
    uint32_t first, count, row;
} gk_page_copy;

/// Copies rows of one layer into pages; a task is one part. For each head, a page of the layer holds the keys as
/// (key_columns, gk_page_rows) and then the values as (gk_page_rows, value_columns), or both as `bf16_page` packs them.
typedef struct gk_page_copies {
    const gk_kernels *kernels;
    /// float32 or bfloat16.
    gk_dtype dtype;
    /// bfloat16 only: 16 · key_columns floats per worker, with columns rounded up to whole vectors.
    float *scratch; size_t scratch_stride;
    /// No two parts write the same page.
    const gk_page_copy *parts;
    const float *key; size_t key_stride;
    const float *value; size_t value_stride;
    /// Page 0 of the layer, and the stride between pages in floats.
    float *pages; size_t page_floats;
    size_t heads, key_columns, value_columns;
} gk_page_copies;

void gk_page_copies_run(const void *job, size_t index, size_t worker);

// MARK: Probe

/// Measures the peak of the processor; a task is `rounds` rounds of the probe.
typedef struct gk_probes {
    const gk_kernels *kernels;
    /// float32, bfloat16 or int8.
    gk_dtype dtype;
    size_t rounds;
    /// One number per worker, 16 apart: results are stored there, so that the compiler must compute them.
    float *results;
} gk_probes;

/// Operations of one round.
size_t gk_probe_count(const gk_probes *job);
void gk_probes_run(const void *job, size_t index, size_t worker);

/// Measures the peak read rate of the memory; a task reads `task_words` words, the last task the remainder.
typedef struct gk_reads {
    /// Aligned to 64 bytes.
    const uint64_t *memory;
    size_t words, task_words;
    /// One number per worker, 8 apart: the sum of the words read, so that the compiler must read them.
    uint64_t *sums;
} gk_reads;

void gk_reads_run(const void *job, size_t index, size_t worker);

// MARK: Top-k

/// One selected catalogue row. Same layout as Compute's ScoredRow.
typedef struct gk_scored {
    int32_t row;
    float score;
} gk_scored;

/// One query's request to a scan.
typedef struct gk_scan_query {
    /// One bit per row, in `words` words; rows beyond them are not allowed. NULL: all rows are allowed.
    const uint64_t *allowed; size_t words;
    /// Ascending.
    const int32_t *excluded; size_t excluded_count;
    /// The largest number of rows to select, ≥ 1.
    size_t count;
    /// The start of the query's selection in a worker's share of `found`.
    size_t first;
} gk_scan_query;

/// The number of named rows that are scored together.
enum { gk_scored_rows = 16 };

/// The quantised copy of a float32 catalogue's first rows, packed like the rows: row i is approximately scales[i] times
/// its integers, with an error of at most half of scales[i] per column. A scan then reads in float32 only the rows
/// whose scores could be selected.
typedef struct gk_items_copy {
    /// gk_packed_depth(int8, depth) words per row, in panels like those of the rows.
    uint32_t *packed;
    float *scales;
    /// The initial value of each row's integer product, which compensates for `s8_zero`.
    int32_t *init;
} gk_items_copy;

/// A packed catalogue: rows as columns, in blocks of gk_block_rows.
typedef struct gk_items {
    /// The first `blocks` blocks.
    const void *packed;
    size_t blocks;
    /// Pages of gk_page_items rows with the later blocks; NULL: there are none.
    const void *const *pages;
    /// The copy of the first `blocks` blocks; none if its `packed` is NULL.
    gk_items_copy copy;
} gk_items;

/// Quantises the gk_block_rows rows of a block, (rows, depth) contiguous and finite; rows beyond `rows` become zeros.
/// Returns the largest magnitude. `bytes` is scratch of gk_block_rows · depth, rounded up to whole quads.
float gk_copy_block(
    const gk_kernels *kernels, size_t block, size_t rows, size_t depth, const float *x, int8_t *bytes,
    const gk_items_copy *copy);

/// Splits a query into two rows of integers, as `s8_gemm` reads them, and bounds the error of its scores computed from
/// them; scan_copy.c has the proof. Returns 0, and no bound, for queries whose scores could overflow: those with NaN or
/// infinity, and those too large for `largest`, the largest magnitude of the rows. `numbers` and `floats` are scratch
/// of depth and 2 · depth.
int gk_bound_query(
    const gk_kernels *kernels, size_t depth, const float *query, float largest, double *numbers, float *floats,
    uint32_t *words, size_t word_stride, gk_bound *bound);

/// Scores a catalogue against queries and keeps the best rows of each query; a task is `task_blocks` blocks of 64 rows.
typedef struct gk_scan {
    const gk_kernels *kernels;
    size_t queries, depth;
    /// The dtype of the packed catalogue: float32 or bfloat16.
    gk_dtype dtype;
    /// Floats, or the output of `bf16_round` with its stride in words.
    const void *query; size_t query_stride;
    const gk_scan_query *wants;
    gk_items items;
    /// A bound for each query, and two rows of its integers. NULL: the copy is not read.
    const gk_bound *bounds;
    const uint32_t *integers; size_t integer_stride;
    /// The number of blocks to scan, including blocks in pages.
    size_t blocks;
    /// One bit per row of the blocks that are not in pages. Rows in pages are eligible only for queries with `allowed`.
    const uint64_t *eligible;
    size_t task_blocks;
    /// (workers, found_stride): the selections of each worker, one heap per query.
    gk_scored *found; size_t found_stride;
    /// (workers, queries): the length of each heap; zero before the scan.
    uint32_t *found_counts;
    size_t workers;
    /// (workers, gk_scan_scratch) words.
    uint32_t *scratch;
} gk_scan;

size_t gk_scan_tasks(const gk_scan *job);
size_t gk_scan_scratch(const gk_scan *job);
/// Each worker must take its tasks in increasing order.
void gk_scan_run(const void *job, size_t index, size_t worker);

/// The second half of a selection: a task merges the workers' selections for one query.
typedef struct gk_merge {
    const gk_scan *scan;
    /// (queries, merged_stride) entries of scratch: workers · count for the query with the largest count.
    gk_scored *merged; size_t merged_stride;
} gk_merge;

/// Stores query `index`'s selection in worker 0's share of `found`, best first, and its length in `found_counts`.
void gk_merge_run(const void *job, size_t index, size_t worker);

/// At most gk_scored_rows named rows against one query.
typedef struct gk_scores_task {
    size_t query, first, count;
} gk_scores_task;

/// Scores named rows of a catalogue, with the same results as a scan.
typedef struct gk_scores {
    const gk_kernels *kernels;
    size_t depth;
    gk_dtype dtype;
    /// As in a scan.
    const void *query; size_t query_stride;
    gk_items items;
    const int32_t *rows;
    const gk_scores_task *tasks;
    /// gk_packed_depth · gk_scored_rows words for each worker.
    uint32_t *scratch;
    /// One per named row.
    float *scores;
} gk_scores;

void gk_scores_run(const void *job, size_t index, size_t worker);

/// Clears the rows of one head from row `first` on, in a page of bfloat16.
void gk_clear_page_rows(size_t first, size_t key_columns, size_t value_columns, uint32_t *page);

/// The beams of one request: rows `begin` ..< begin + rows of the batch's tensors.
typedef struct gk_beam_group {
    size_t begin, rows;
    /// The number of prompt rows, at least 1, and their pages.
    size_t cached;
    const int32_t *pages;
    /// Pages of the stored beam rows; for each row, `depth` numbers of stored rows.
    const int32_t *beam_pages;
    size_t depth;
    const int32_t *ancestors;
    /// The number of tiles of the earlier groups; gk_beams_plan fills it in.
    size_t tiles;
} gk_beam_group;

/// Softmax attention of beams: every row attends to its request's whole prompt, its ancestors, and itself.
typedef struct gk_beams {
    const gk_kernels *kernels;
    /// float32 or bfloat16: the type of the pages.
    gk_dtype dtype;
    const gk_beam_group *groups; size_t count;
    const float *query; size_t query_stride;
    const float *key; size_t key_stride;
    const float *value; size_t value_stride;
    float *output; size_t output_stride;
    const float *pool; size_t page_floats, head_floats;
    /// The number of query heads, how many of them share a key head, and the columns of a head.
    size_t heads, sharing, columns;
    float scale;
    float *scratch; size_t scratch_stride;
} gk_beams;

/// Numbers the tiles of the groups and returns their total. A task is a tile of one key head.
size_t gk_beams_plan(gk_beam_group *groups, size_t count);
/// Scratch floats of a worker.
size_t gk_beams_scratch(const gk_beams *job);
void gk_beams_run(const void *job, size_t index, size_t worker);

/// The scores of the vocabulary that a row needs.
typedef struct gk_token_row {
    /// The tokens not yet scored, ascending.
    size_t next, end;
    /// The range of tokens that the sum covers; low = high for none.
    size_t low, high;
    /// The greatest score so far, and the sum of exponentials relative to it.
    float most;
    double total;
} gk_token_row;

/// Scores of `count` tokens from `begin` on, for some rows; a task is a row.
typedef struct gk_token_block {
    const gk_kernels *kernels;
    const float *scores; size_t stride;
    size_t begin, count;
    gk_token_row *rows;
    const int32_t *tokens;
    /// The score of each token.
    float *kept;
} gk_token_block;

void gk_token_block_run(const void *job, size_t row, size_t worker);

#endif
