// The last steps of a product's tile, for every element type: activation and residual.

#ifndef GENREC_KERNEL_EPILOGUE_H
#define GENREC_KERNEL_EPILOGUE_H

/// One vector of the epilogue. The activation is a constant at every call.
GK_INLINE gk_f16 gk_finish(gk_f16 x, const gk_activation activation) {
    switch (activation) {
    case gk_activation_none: return x;
    case gk_activation_silu: return gk_silu(x);
    case gk_activation_relu: return gk_relu(x);
    case gk_activation_gelu_tanh: return gk_gelu_tanh(x);
    case gk_activation_silu_bf16: return gk_silu_bf16(x);
    }
}

// Defines a function that finishes rows. `at(r, j)` is the vector of the product at row r and column j, `part` a
// partial one; they use the parameters after the output.
#define GK_DEFINE_EPILOGUE(name, at, part, ...)                                                                       \
    GK_INLINE void name(                                                                                             \
        size_t rows, size_t columns, const gk_activation activation, const float *residual, size_t residual_stride,  \
        float *output, size_t output_stride, __VA_ARGS__) {                                                          \
        const size_t whole = columns & ~(size_t)15, rest = columns & 15;                                             \
        for (size_t r = 0; r < rows; r++) {                                                                          \
            const float *add = residual ? residual + r * residual_stride : NULL;                                     \
            float *out = output + r * output_stride;                                                                 \
            for (size_t j = 0; j < whole; j += 16) {                                                                 \
                gk_f16 x = gk_finish(at(r, j), activation);                                                          \
                if (add) x += gk_load(add + j);                                                                      \
                gk_store(out + j, x);                                                                                \
            }                                                                                                        \
            if (rest) {                                                                                              \
                gk_f16 x = gk_finish(part(r, whole, rest), activation);                                              \
                if (add) x += gk_load_part(add + whole, rest);                                                       \
                gk_store_part(out + whole, x, rest);                                                                 \
            }                                                                                                        \
        }                                                                                                            \
    }

// Calls `finish` with the activation as a constant.
#define GK_FOR_ACTIVATION(activation, finish)                                                                         \
    switch (activation) {                                                                                            \
    case gk_activation_none: finish(gk_activation_none); return;                                                     \
    case gk_activation_silu: finish(gk_activation_silu); return;                                                     \
    case gk_activation_relu: finish(gk_activation_relu); return;                                                     \
    case gk_activation_gelu_tanh: finish(gk_activation_gelu_tanh); return;                                           \
    case gk_activation_silu_bf16: finish(gk_activation_silu_bf16); return;                                           \
    }

#endif
