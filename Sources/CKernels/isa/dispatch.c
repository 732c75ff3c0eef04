// The kernel table of each level, built from the kernel lists, and the list for tests.

#include "../lists/declarations.h"

#define GK_ENTRY(entry, function) .entry = function,
static const gk_kernels scalar_kernels = {
    .isa = gk_isa_scalar, .gemm_rows = 4, .gemm_columns = 16, .bf16_words = 2, .s8_words = 1, .s8_zero = 0,
#define GK_TABLE_SCALAR
#include "../lists/table.inc"
};

#if GK_X86
static const gk_kernels avx2_kernels = {
    .isa = gk_isa_avx2, .gemm_rows = 6, .gemm_columns = 16, .bf16_words = 2, .s8_words = 2, .s8_zero = 0,
#define GK_TABLE_AVX2
#include "../lists/table.inc"
};

static const gk_kernels avx512_kernels = {
    .isa = gk_isa_avx512, .gemm_rows = 6, .gemm_columns = 64, .bf16_words = 2, .s8_words = 2, .s8_zero = 0,
#define GK_TABLE_AVX512
#include "../lists/table.inc"
};

static const gk_kernels avx512vnni_kernels = {
    .isa = gk_isa_avx512vnni, .gemm_rows = 6, .gemm_columns = 64, .bf16_words = 2, .s8_words = 1, .s8_zero = 128,
#define GK_TABLE_AVX512VNNI
#include "../lists/table.inc"
};

static const gk_kernels avx512bf16_kernels = {
    .isa = gk_isa_avx512bf16, .gemm_rows = 6, .gemm_columns = 64, .bf16_words = 1, .s8_words = 1, .s8_zero = 128,
#define GK_TABLE_AVX512BF16
#include "../lists/table.inc"
};
#endif

#if GK_ARM
static const gk_kernels neon_kernels = {
    .isa = gk_isa_neon, .gemm_rows = 6, .gemm_columns = 16, .bf16_words = 2, .s8_words = 2, .s8_zero = 0,
#define GK_TABLE_NEON
#include "../lists/table.inc"
};

static const gk_kernels neondotprod_kernels = {
    .isa = gk_isa_neondotprod, .gemm_rows = 6, .gemm_columns = 16, .bf16_words = 2, .s8_words = 1, .s8_zero = 0,
#define GK_TABLE_NEONDOTPROD
#include "../lists/table.inc"
};

static const gk_kernels neonbf16_kernels = {
    .isa = gk_isa_neonbf16, .gemm_rows = 6, .gemm_columns = 16, .bf16_words = 1, .s8_words = 1, .s8_zero = 0,
#define GK_TABLE_NEONBF16
#include "../lists/table.inc"
};
#endif
#undef GK_ENTRY

const gk_kernels *gk_kernels_for(gk_isa isa) {
    if (!gk_isa_is_available(isa)) return NULL;
    switch (isa) {
    case gk_isa_scalar: return &scalar_kernels;
#if GK_X86
    case gk_isa_avx2: return &avx2_kernels;
    case gk_isa_avx512: return &avx512_kernels;
    case gk_isa_avx512vnni: return &avx512vnni_kernels;
    case gk_isa_avx512bf16: return &avx512bf16_kernels;
#endif
#if GK_ARM
    case gk_isa_neon: return &neon_kernels;
    case gk_isa_neondotprod: return &neondotprod_kernels;
    case gk_isa_neonbf16: return &neonbf16_kernels;
#endif
    default: return NULL;
    }
}

// A line missing from a list would leave a NULL in a table; a duplicate does not compile (initializer overrides).
// Attention in bfloat16 is at the end of the table, and only levels that multiply bfloat16 have it.
enum {
    needed_entries = (offsetof(gk_kernels, bf16_page) - offsetof(gk_kernels, gemm)) / sizeof(gk_gemm_fn *),
    table_entries = (sizeof(gk_kernels) - offsetof(gk_kernels, gemm)) / sizeof(gk_gemm_fn *),
};
#define GK_ENTRY(entry, function) +1
enum {
    scalar_entries = 0
#define GK_TABLE_SCALAR
#include "../lists/table.inc"
};
enum {
    avx2_entries = 0
#define GK_TABLE_AVX2
#include "../lists/table.inc"
};
enum {
    avx512_entries = 0
#define GK_TABLE_AVX512
#include "../lists/table.inc"
};
enum {
    avx512vnni_entries = 0
#define GK_TABLE_AVX512VNNI
#include "../lists/table.inc"
};
enum {
    avx512bf16_entries = 0
#define GK_TABLE_AVX512BF16
#include "../lists/table.inc"
};
enum {
    neon_entries = 0
#define GK_TABLE_NEON
#include "../lists/table.inc"
};
enum {
    neondotprod_entries = 0
#define GK_TABLE_NEONDOTPROD
#include "../lists/table.inc"
};
enum {
    neonbf16_entries = 0
#define GK_TABLE_NEONBF16
#include "../lists/table.inc"
};
#undef GK_ENTRY
_Static_assert((int)scalar_entries == (int)needed_entries, "the scalar list is incomplete");
_Static_assert((int)avx2_entries == (int)needed_entries, "the AVX2 list is incomplete");
_Static_assert((int)avx512_entries == (int)needed_entries, "the AVX-512 list is incomplete");
_Static_assert((int)avx512vnni_entries == (int)needed_entries, "the AVX-512 VNNI list is incomplete");
_Static_assert((int)avx512bf16_entries == (int)table_entries, "the AVX-512 BF16 list is incomplete");
_Static_assert((int)neon_entries == (int)needed_entries, "the NEON list is incomplete");
_Static_assert((int)neondotprod_entries == (int)needed_entries, "the NEON dot product list is incomplete");
_Static_assert((int)neonbf16_entries == (int)table_entries, "the NEON BF16 list is incomplete");

const gk_kernel_entry *gk_kernel_entries(size_t *count) {
    static const gk_kernel_entry entries[] = {
#define GK_SCALAR(entry, symbol) {#symbol "__scalar", gk_isa_scalar},
#define GK_AVX2(entry, symbol) {#symbol "__avx2", gk_isa_avx2},
#define GK_AVX512(entry, symbol) {#symbol "__avx512", gk_isa_avx512},
#define GK_AVX512VNNI(entry, symbol) {#symbol "__avx512vnni", gk_isa_avx512vnni},
#define GK_AVX512BF16(entry, symbol) {#symbol "__avx512bf16", gk_isa_avx512bf16},
#define GK_NEON(entry, symbol) {#symbol "__neon", gk_isa_neon},
#define GK_NEONDOTPROD(entry, symbol) {#symbol "__neondotprod", gk_isa_neondotprod},
#define GK_NEONBF16(entry, symbol) {#symbol "__neonbf16", gk_isa_neonbf16},
#include "../lists/kernels.inc"
    };
    *count = sizeof entries / sizeof entries[0];
    return entries;
}
