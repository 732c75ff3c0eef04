// float32 kernels that work row by row: SiLU, norms, gates, embedding. GK_KERNEL(symbol) adds the level to a name.

void GK_KERNEL(gk_f32_silu_16)(size_t count, const float *x, float *output) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) gk_store(output + i, gk_silu(gk_load(x + i)));
    if (i < count) gk_store_part(output + i, gk_silu(gk_load_part(x + i, count - i)), count - i);
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

void GK_KERNEL(gk_f32_layer_norm_1x16)(
    size_t rows, size_t columns, float epsilon, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    const gk_i16 valid = GK_LANE_NUMBERS < (gk_i16)(int32_t)rest;
    const float count = (float)columns;
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        gk_f16 sum = gk_splat(0.0f);
        for (size_t j = 0; j < whole; j += 16) sum += gk_load(in + j);
        if (rest) sum += gk_load_part(in + whole, rest);
        const float mean = gk_sum(sum) / count;

        gk_f16 squares = gk_splat(0.0f);
        for (size_t j = 0; j < whole; j += 16) {
            const gk_f16 d = gk_load(in + j) - gk_splat(mean);
            squares = gk_fma(d, d, squares);
        }
        if (rest) {
            const gk_f16 d = gk_keep(valid, gk_load_part(in + whole, rest) - gk_splat(mean));
            squares = gk_fma(d, d, squares);
        }
        const float variance = gk_sum(squares) / count;
        gk_scale_row(
            columns, mean, 1.0f / __builtin_sqrtf(variance + epsilon), in,
            gate ? gate + r * gate_stride : NULL, output + r * output_stride);
    }
}

void GK_KERNEL(gk_f32_l2_norm_1x16)(
    size_t rows, size_t columns, float epsilon, const float *x, size_t x_stride, const float *gate,
    size_t gate_stride, float *output, size_t output_stride) {
    const size_t whole = columns & ~(size_t)15, rest = columns & 15;
    for (size_t r = 0; r < rows; r++) {
        const float *in = x + r * x_stride;
        gk_f16 squares = gk_splat(0.0f);
        for (size_t j = 0; j < whole; j += 16) {
            const gk_f16 y = gk_load(in + j);
            squares = gk_fma(y, y, squares);
        }
        if (rest) {
            const gk_f16 y = gk_load_part(in + whole, rest);
            squares = gk_fma(y, y, squares);
        }
        const float length = __builtin_sqrtf(gk_sum(squares));
        gk_scale_row(
            columns, 0.0f, 1.0f / (length > epsilon ? length : epsilon), in,
            gate ? gate + r * gate_stride : NULL, output + r * output_stride);
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
