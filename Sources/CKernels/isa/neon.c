// The Arm kernels (Advanced SIMD). A vector of 16 floats is four registers.

#include "../lists/declarations.h"

#if GK_ARM

#include "../portable/vector.h"

#define GK_JOIN(symbol, level) symbol##__##level
#define GK_KERNEL_OF(symbol) GK_JOIN(symbol, neon)
#define GK_KERNEL(symbol) GK_KERNEL_OF(symbol)

#define GK_GEMM_SYMBOL gk_f32_gemm_6x16
#include "neon_vectors.h"

#include "../portable/f32_gemm.h"
#include "../portable/f32_attention.h"
#include "../portable/f32_few.h"
#include "../portable/f32_hstu.h"
#include "../portable/f32_softmax.h"
#include "../portable/f32_rows.h"
#include "../portable/f32_scan.h"
#include "../portable/f32_probe.h"

#define GK_BF16_GEMM_SYMBOL gk_bf16_gemm_6x16
#define GK_BF16_TILE_VECTORS 1
#include "../portable/bf16_widened.h"

#define GK_S8_GEMM_SYMBOL gk_s8_gemm_6x16
#define GK_S8_TILE_VECTORS 1
/// The sum of the products of the two 16-bit halves of each lane.
#define GK_DEFINE_PAIRS(name, vector) \
    GK_INLINE vector name(vector a, vector b) { return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16); }
GK_DEFINE_PAIRS(gk_multiply_pairs_4, gk_i4)
GK_DEFINE_PAIRS(gk_multiply_pairs_8, gk_i8)
GK_DEFINE_PAIRS(gk_multiply_pairs, gk_i16)
#include "../portable/s8_pairs.h"

#endif
