// float32 kernels that work row by row: SiLU, norms, gates, embedding. GK_KERNEL(symbol) adds the level to a name.

void GK_KERNEL(gk_f32_silu_16)(size_t count, const float *x, float *output) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) gk_store(output + i, gk_silu(gk_load(x + i)));
    if (i < count) gk_store_part(output + i, gk_silu(gk_load_part(x + i, count - i)), count - i);
}

/// Up to four rows at a time: their sums are taken together, which hides the latency of each. Where fewer than four
/// are left, the last is repeated, so that every row sees the same operations.
typedef struct {
    const float *row[4];
} gk_four_rows;

GK_INLINE gk_four_rows gk_rows_from(const float *x, size_t stride, size_t first, size_t rows) {
    gk_four_rows four;
    for (size_t i = 0; i < 4; i++) four.row[i] = x + (first + i < rows ? first + i : rows - 1) * stride;
    return four;
}

/// Σ x of each row.
GK_INLINE gk_f4 gk_row_sums(const gk_four_rows *x, size_t columns) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    gk_f16 sum[4] = {gk_splat(0.0f), gk_splat(0.0f), gk_splat(0.0f), gk_splat(0.0f)};
    for (size_t j = 0; j < whole; j += 16)
        for (size_t i = 0; i < 4; i++) sum[i] += gk_load(x->row[i] + j);
    if (rest)
        for (size_t i = 0; i < 4; i++) sum[i] += gk_load_part(x->row[i] + whole, rest);
    return gk_sums(sum);
}

/// Σ (x - shift)² of each row.
GK_INLINE gk_f4 gk_row_squares(const gk_four_rows *x, size_t columns, gk_f4 shift) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    const gk_i16 valid = GK_LANE_NUMBERS < (gk_i16)(int32_t)rest;
    gk_f16 sum[4] = {gk_splat(0.0f), gk_splat(0.0f), gk_splat(0.0f), gk_splat(0.0f)};
    for (size_t j = 0; j < whole; j += 16)
        for (size_t i = 0; i < 4; i++) {
            const gk_f16 d = gk_load(x->row[i] + j) - gk_splat(shift[i]);
            sum[i] = gk_fma(d, d, sum[i]);
        }
    if (rest)
        for (size_t i = 0; i < 4; i++) {
            const gk_f16 d = gk_keep(valid, gk_load_part(x->row[i] + whole, rest) - gk_splat(shift[i]));
            sum[i] = gk_fma(d, d, sum[i]);
        }
    return gk_sums(sum);
}

/// Writes (x - shift) · factor, times the gate.
GK_INLINE void gk_scale_row(
    size_t columns, float shift, float factor, const float *x, const float *gate, float *output) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t j = 0; j < whole; j += 16) {
        gk_f16 y = (gk_load(x + j) - gk_splat(shift)) * gk_splat(factor);
        if (gate) y *= gk_load(gate + j);
        gk_store(output + j, y);
    }
    if (rest) {
        gk_f16 y = (gk_load_part(x + whole, rest) - gk_splat(shift)) * gk_splat(factor);
        if (gate) y *= gk_load_part(gate + whole, rest);
        gk_store_part(output + whole, y, rest);
    }
}

void GK_KERNEL(gk_f32_layer_norm_4x16)(
    size_t rows, size_t columns, float epsilon, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    const gk_f4 count = (gk_f4)(float)columns;
    for (size_t r = 0; r < rows; r += 4) {
        const gk_four_rows four = gk_rows_from(x, x_stride, r, rows);
        const gk_f4 mean = gk_row_sums(&four, columns) / count;
        const gk_f4 variance = gk_row_squares(&four, columns, mean) / count;
        const gk_f4 factor = 1.0f / __builtin_elementwise_sqrt(variance + epsilon);
        for (size_t i = 0; i < 4 && r + i < rows; i++)
            gk_scale_row(
                columns, mean[i], factor[i], four.row[i], gate ? gate + (r + i) * gate_stride : NULL,
                output + (r + i) * output_stride);
    }
}

void GK_KERNEL(gk_f32_l2_norm_4x16)(
    size_t rows, size_t columns, float epsilon, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    for (size_t r = 0; r < rows; r += 4) {
        const gk_four_rows four = gk_rows_from(x, x_stride, r, rows);
        const gk_f4 length = __builtin_elementwise_sqrt(gk_row_squares(&four, columns, (gk_f4)0.0f));
        const gk_f4 factor = 1.0f / (length > epsilon ? length : (gk_f4)epsilon);
        for (size_t i = 0; i < 4 && r + i < rows; i++)
            gk_scale_row(
                columns, 0.0f, factor[i], four.row[i], gate ? gate + (r + i) * gate_stride : NULL,
                output + (r + i) * output_stride);
    }
}

void GK_KERNEL(gk_f32_concatenate_1x16)(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, float *output, size_t output_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *g = gate + r * gate_stride;
        float *first = output + r * output_stride, *second = first + columns, *third = second + columns;
        for (size_t j = 0; j < whole; j += 16) {
            const gk_f16 u = gk_load(g + j), y = gk_load(second + j);
            gk_store(first + j, u);
            gk_store(third + j, u * y);
        }
        if (rest) {
            const gk_f16 u = gk_load_part(g + whole, rest), y = gk_load_part(second + whole, rest);
            gk_store_part(first + whole, u, rest);
            gk_store_part(third + whole, u * y, rest);
        }
    }
}

void GK_KERNEL(gk_f32_embed_1x16)(
    size_t rows, size_t columns, const int32_t *ids, const float *table, float scale, const int32_t *position_ids,
    const float *positions, float *output, size_t output_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *row = table + (size_t)ids[r] * columns;
        const float *position = positions ? positions + (size_t)position_ids[r] * columns : NULL;
        float *out = output + r * output_stride;
        for (size_t j = 0; j < whole; j += 16) {
            const gk_f16 add = position ? gk_load(position + j) : gk_splat(0.0f);
            gk_store(out + j, gk_fma(gk_load(row + j), gk_splat(scale), add));
        }
        if (rest) {
            const gk_f16 add = position ? gk_load_part(position + whole, rest) : gk_splat(0.0f);
            gk_store_part(out + whole, gk_fma(gk_load_part(row + whole, rest), gk_splat(scale), add), rest);
        }
    }
}
