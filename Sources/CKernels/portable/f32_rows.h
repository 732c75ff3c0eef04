// Row-wise float32 kernels: SiLU, norms, gates, embedding, rotation. GK_KERNEL(symbol) adds the level to a name.

void GK_KERNEL(gk_f32_silu_16)(size_t count, const float *x, float *output) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) gk_store(output + i, gk_silu(gk_load(x + i)));
    if (i < count) gk_store_part(output + i, gk_silu(gk_load_part(x + i, count - i)), count - i);
}

void GK_KERNEL(gk_f32_exp_16)(size_t count, const float *x, float *output) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) gk_store(output + i, gk_exp_of_negative(gk_load(x + i)));
    if (i < count) gk_store_part(output + i, gk_exp_of_negative(gk_load_part(x + i, count - i)), count - i);
}

/// Up to four rows, whose sums are computed together to hide the latency of each. If fewer than four are left, the last
/// is repeated, so that every row sees the same operations.
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

/// Writes (x - mean) · factor, then the norm's affine part, then the gate.
GK_INLINE void gk_scale_row(
    const gk_normalization *norm, size_t columns, float mean, float factor, const float *x, const float *gate,
    float *output) {
    const float *scale = norm->scale, *shift = norm->shift;
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t j = 0; j < whole; j += 16) {
        gk_f16 y = (gk_load(x + j) - gk_splat(mean)) * gk_splat(factor);
        if (scale) y = shift ? gk_fma(y, gk_load(scale + j), gk_load(shift + j)) : y * gk_load(scale + j);
        if (gate) y *= gk_load(gate + j);
        gk_store(output + j, y);
    }
    if (rest) {
        gk_f16 y = (gk_load_part(x + whole, rest) - gk_splat(mean)) * gk_splat(factor);
        if (scale) {
            const gk_f16 s = gk_load_part(scale + whole, rest);
            y = shift ? gk_fma(y, s, gk_load_part(shift + whole, rest)) : y * s;
        }
        if (gate) y *= gk_load_part(gate + whole, rest);
        gk_store_part(output + whole, y, rest);
    }
}

/// The same for up to four rows from row `first` on.
GK_INLINE void gk_scale_rows(
    const gk_normalization *norm, const gk_four_rows *x, size_t first, size_t rows, size_t columns, gk_f4 mean,
    gk_f4 factor, const float *gate, size_t gate_stride, float *output, size_t output_stride) {
    for (size_t i = 0; i < 4 && first + i < rows; i++)
        gk_scale_row(
            norm, columns, mean[i], factor[i], x->row[i], gate ? gate + (first + i) * gate_stride : NULL,
            output + (first + i) * output_stride);
}

void GK_KERNEL(gk_f32_layer_norm_4x16)(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    const gk_f4 count = (gk_f4)(float)columns;
    for (size_t r = 0; r < rows; r += 4) {
        const gk_four_rows four = gk_rows_from(x, x_stride, r, rows);
        const gk_f4 mean = gk_row_sums(&four, columns) / count;
        const gk_f4 variance = gk_row_squares(&four, columns, mean) / count;
        const gk_f4 factor = 1.0f / __builtin_elementwise_sqrt(variance + norm->epsilon);
        gk_scale_rows(norm, &four, r, rows, columns, mean, factor, gate, gate_stride, output, output_stride);
    }
}

void GK_KERNEL(gk_f32_l2_norm_4x16)(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    const gk_f4 least = (gk_f4)norm->epsilon, zero = (gk_f4)0.0f;
    for (size_t r = 0; r < rows; r += 4) {
        const gk_four_rows four = gk_rows_from(x, x_stride, r, rows);
        const gk_f4 length = __builtin_elementwise_sqrt(gk_row_squares(&four, columns, zero));
        const gk_f4 factor = 1.0f / (length > least ? length : least);
        gk_scale_rows(norm, &four, r, rows, columns, zero, factor, gate, gate_stride, output, output_stride);
    }
}

void GK_KERNEL(gk_f32_rms_norm_4x16)(
    const gk_normalization *norm, size_t rows, size_t columns, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    const gk_f4 count = (gk_f4)(float)columns, zero = (gk_f4)0.0f;
    for (size_t r = 0; r < rows; r += 4) {
        const gk_four_rows four = gk_rows_from(x, x_stride, r, rows);
        const gk_f4 square = gk_row_squares(&four, columns, zero) / count;
        const gk_f4 factor = 1.0f / __builtin_elementwise_sqrt(square + norm->epsilon);
        gk_scale_rows(norm, &four, r, rows, columns, zero, factor, gate, gate_stride, output, output_stride);
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

void GK_KERNEL(gk_f32_swiglu_1x16)(
    size_t rows, size_t columns, const float *gate, size_t gate_stride, const float *x, size_t x_stride,
    float *output, size_t output_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *g = gate + r * gate_stride, *in = x + r * x_stride;
        float *out = output + r * output_stride;
        for (size_t j = 0; j < whole; j += 16) gk_store(out + j, gk_silu(gk_load(g + j)) * gk_load(in + j));
        if (rest)
            gk_store_part(
                out + whole, gk_silu(gk_load_part(g + whole, rest)) * gk_load_part(in + whole, rest), rest);
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

/// Rotates `count` ≤ 16 pairs in separate halves.
GK_INLINE void gk_rotate_halves(size_t count, const float *cosines, const float *sines, float *a, float *b) {
    const int full = count == 16;
    const gk_f16 c = full ? gk_load(cosines) : gk_load_part(cosines, count);
    const gk_f16 s = full ? gk_load(sines) : gk_load_part(sines, count);
    const gk_f16 x = full ? gk_load(a) : gk_load_part(a, count), y = full ? gk_load(b) : gk_load_part(b, count);
    const gk_f16 first = gk_fma(x, c, -(y * s)), second = gk_fma(x, s, y * c);
    if (full) {
        gk_store(a, first);
        gk_store(b, second);
    } else {
        gk_store_part(a, first, count);
        gk_store_part(b, second, count);
    }
}

/// Rotates `count` ≤ 16 pairs of adjacent floats.
GK_INLINE void gk_rotate_neighbours(size_t count, const float *cosines, const float *sines, float *x) {
    float pairs[32], *p = count == 16 ? x : pairs;
    if (count < 16)
        for (size_t i = 0; i < 32; i++) pairs[i] = i < 2 * count ? x[i] : 0.0f;
    const gk_f16 c = count == 16 ? gk_load(cosines) : gk_load_part(cosines, count);
    const gk_f16 s = count == 16 ? gk_load(sines) : gk_load_part(sines, count);
    const gk_f16 low = gk_load(p), high = gk_load(p + 16);
    const gk_f16 a = __builtin_shufflevector(
        low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const gk_f16 b = __builtin_shufflevector(
        low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    const gk_f16 first = gk_fma(a, c, -(b * s)), second = gk_fma(a, s, b * c);
    gk_store(p, __builtin_shufflevector(
        first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    gk_store(p + 16, __builtin_shufflevector(
        first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
    if (count < 16)
        for (size_t i = 0; i < 2 * count; i++) x[i] = pairs[i];
}

void GK_KERNEL(gk_f32_rotate_1x16)(
    size_t heads, size_t pairs, gk_pairing pairing, const float *cosines, const float *sines, float *x) {
    for (size_t head = 0; head < heads; head++, x += 2 * pairs)
        for (size_t j = 0; j < pairs; j += 16) {
            const size_t count = pairs - j < 16 ? pairs - j : 16;
            if (pairing == gk_pairing_halves) gk_rotate_halves(count, cosines + j, sines + j, x + j, x + pairs + j);
            else gk_rotate_neighbours(count, cosines + j, sines + j, x + 2 * j);
        }
}

/// Widens one vector of a panel's pairs: the first of each pair goes to `first`, the second one row later.
#define GK_WIDEN_PAIRS(words, floats)                                                                                \
    do {                                                                                                             \
        const words pairs = *(const words##_memory *)(panel + width * k + j);                                        \
        *(floats##_memory *)(first + j) = __builtin_bit_cast(floats, pairs << 16);                                   \
        *(floats##_memory *)(first + width + j) = __builtin_bit_cast(floats, pairs & 0xffff0000u);                   \
    } while (0)

void GK_KERNEL(gk_f32_widen_panel_16)(size_t width, size_t depth, const uint32_t *panel, float *output) {
    for (size_t k = 0; k < depth; k++) {
        float *first = output + 2 * width * k;
        size_t j = 0;
        for (; j + 16 <= width; j += 16) GK_WIDEN_PAIRS(gk_u16, gk_f16);
        for (; j < width; j += 4) GK_WIDEN_PAIRS(gk_u4, gk_f4);
    }
}
#undef GK_WIDEN_PAIRS
