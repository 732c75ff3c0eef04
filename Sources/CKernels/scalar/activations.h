// The activations in plain C, for the scalar kernels of every element type.

#ifndef GENREC_KERNEL_SCALAR_ACTIVATIONS_H
#define GENREC_KERNEL_SCALAR_ACTIVATIONS_H

#include "CKernels.h"

#include <math.h>

static inline float silu(float x) { return (float)(x / (1.0 + exp(-(double)x))); }

static inline float gelu_tanh(float x) {
    const double cubic = x + 0.044715 * ((double)x * x * x);
    return (float)(0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * cubic)));
}

static inline float activated(float x, gk_activation activation) {
    switch (activation) {
    case gk_activation_none: return x;
    case gk_activation_silu:
    case gk_activation_silu_bf16: return silu(x);
    case gk_activation_relu: return x < 0 ? 0 : x;
    case gk_activation_gelu_tanh: return gelu_tanh(x);
    }
}

#endif
