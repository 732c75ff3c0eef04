// The table of each level, made from the kernel lists, and the list that tests walk.

#include "../lists/declarations.h"

// A level's table takes the lines of its own level and leaves the others out.
static const gk_kernels scalar_kernels = {
    .isa = gk_isa_scalar, .gemm_rows = 4, .gemm_columns = 16,
#define GK_SCALAR(entry, symbol) .entry = symbol##__scalar,
#define GK_AVX2(entry, symbol)
#define GK_AVX512(entry, symbol)
#define GK_NEON(entry, symbol)
#include "../lists/f32_kernels.inc"
};

#if GK_X86
static const gk_kernels avx2_kernels = {
    .isa = gk_isa_avx2, .gemm_rows = 6, .gemm_columns = 16,
#define GK_SCALAR(entry, symbol)
#define GK_AVX2(entry, symbol) .entry = symbol##__avx2,
#define GK_AVX512(entry, symbol)
#define GK_NEON(entry, symbol)
#include "../lists/f32_kernels.inc"
};

static const gk_kernels avx512_kernels = {
    .isa = gk_isa_avx512, .gemm_rows = 6, .gemm_columns = 64,
#define GK_SCALAR(entry, symbol)
#define GK_AVX2(entry, symbol)
#define GK_AVX512(entry, symbol) .entry = symbol##__avx512,
#define GK_NEON(entry, symbol)
#include "../lists/f32_kernels.inc"
};
#endif

#if GK_ARM
static const gk_kernels neon_kernels = {
    .isa = gk_isa_neon, .gemm_rows = 6, .gemm_columns = 16,
#define GK_SCALAR(entry, symbol)
#define GK_AVX2(entry, symbol)
#define GK_AVX512(entry, symbol)
#define GK_NEON(entry, symbol) .entry = symbol##__neon,
#include "../lists/f32_kernels.inc"
};
#endif

const gk_kernels *gk_kernels_for(gk_isa isa) {
    if (!gk_isa_is_available(isa)) return NULL;
    switch (isa) {
    case gk_isa_scalar: return &scalar_kernels;
#if GK_X86
    case gk_isa_avx2: return &avx2_kernels;
    case gk_isa_avx512: return &avx512_kernels;
#endif
#if GK_ARM
    case gk_isa_neon: return &neon_kernels;
#endif
    default: return NULL;
    }
}

// A line missing from a list would leave a NULL in a table; a doubled one does not compile (initializer overrides).
enum { table_entries = (sizeof(gk_kernels) - offsetof(gk_kernels, gemm)) / sizeof(gk_gemm_fn *) };
enum {
    scalar_entries = 0
#define GK_SCALAR(entry, symbol) +1
#define GK_AVX2(entry, symbol)
#define GK_AVX512(entry, symbol)
#define GK_NEON(entry, symbol)
#include "../lists/f32_kernels.inc"
};
enum {
    avx2_entries = 0
#define GK_SCALAR(entry, symbol)
#define GK_AVX2(entry, symbol) +1
#define GK_AVX512(entry, symbol)
#define GK_NEON(entry, symbol)
#include "../lists/f32_kernels.inc"
};
enum {
    avx512_entries = 0
#define GK_SCALAR(entry, symbol)
#define GK_AVX2(entry, symbol)
#define GK_AVX512(entry, symbol) +1
#define GK_NEON(entry, symbol)
#include "../lists/f32_kernels.inc"
};
enum {
    neon_entries = 0
#define GK_SCALAR(entry, symbol)
#define GK_AVX2(entry, symbol)
#define GK_AVX512(entry, symbol)
#define GK_NEON(entry, symbol) +1
#include "../lists/f32_kernels.inc"
};
_Static_assert((int)scalar_entries == (int)table_entries, "the scalar list is incomplete");
_Static_assert((int)avx2_entries == (int)table_entries, "the AVX2 list is incomplete");
_Static_assert((int)avx512_entries == (int)table_entries, "the AVX-512 list is incomplete");
_Static_assert((int)neon_entries == (int)table_entries, "the NEON list is incomplete");

const gk_kernel_entry *gk_kernel_entries(size_t *count) {
    static const gk_kernel_entry entries[] = {
#define GK_SCALAR(entry, symbol) {#symbol "__scalar", gk_isa_scalar},
#define GK_AVX2(entry, symbol) {#symbol "__avx2", gk_isa_avx2},
#define GK_AVX512(entry, symbol) {#symbol "__avx512", gk_isa_avx512},
#define GK_NEON(entry, symbol) {#symbol "__neon", gk_isa_neon},
#include "../lists/f32_kernels.inc"
    };
    *count = sizeof entries / sizeof entries[0];
    return entries;
}
