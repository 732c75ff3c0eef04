// Declares every kernel of the lists, and defines the levels that this architecture compiles. Included by every kernel
// file, so that a definition that differs from its list does not compile.

#ifndef GENREC_KERNEL_DECLARATIONS_H
#define GENREC_KERNEL_DECLARATIONS_H

#include "CKernels.h"

#if defined(__x86_64__)
#define GK_X86 1
#elif defined(__aarch64__)
#define GK_ARM 1
#endif

#define GK_SCALAR(entry, symbol) gk_##entry##_fn symbol##__scalar;
#if GK_X86
#define GK_AVX2(entry, symbol) gk_##entry##_fn symbol##__avx2;
#define GK_AVX512(entry, symbol) gk_##entry##_fn symbol##__avx512;
#define GK_AVX512VNNI(entry, symbol) gk_##entry##_fn symbol##__avx512vnni;
#define GK_AVX512BF16(entry, symbol) gk_##entry##_fn symbol##__avx512bf16;
#endif
#if GK_ARM
#define GK_NEON(entry, symbol) gk_##entry##_fn symbol##__neon;
#define GK_NEONDOTPROD(entry, symbol) gk_##entry##_fn symbol##__neondotprod;
#define GK_NEONBF16(entry, symbol) gk_##entry##_fn symbol##__neonbf16;
#endif
#include "kernels.inc"

#endif
