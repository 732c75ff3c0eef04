// The CPU kernels: micro-kernels for each instruction set, and the drivers that run them over a share of an operation.
// Activations are float32; products are float32, bfloat16 or int8. ComputeCPU handles memory, threads and argument
// checks. Called by ComputeCPU and tests.
//
// Letters: M or R rows, K inputs (depth), N outputs (columns), D width, B sequences or queries, V catalogue rows.
// Strides count elements, not bytes. A "vector" is 16 floats on every instruction set.
//
// Every element of a product is one chain of additions in increasing k, whatever the tile, the row's place in the batch
// or the number of threads, so a row gives the same bits alone and in a batch.
//
// bfloat16 and int8 operands are stored in words of 32 bits: a pair of bfloat16, or a quad of int8, adjacent in k. The
// last word is padded with zeros.

#include "CKernelsLevels.h"

#include "CKernelsDrivers.h"
