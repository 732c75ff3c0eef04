// HSTU's logarithmic time buckets: the definition, and the kernels' lookup table.

#include "CKernels.h"

#include <math.h>

/// The definition, for a difference that is already float32 and at least 1. It requires a correctly rounded float32
/// logarithm. Rounding the double logarithm gives that wherever it decides a bucket: at the start of a bucket, the
/// exact logarithm is farther than 2^-40 of itself from a rounding boundary (TimeBucketTests, in extended precision).
static int32_t bucket_of(float x) { return (int32_t)((float)log((double)x) / 0.301f); }

int32_t gk_time_bucket(int64_t difference) {
    // |INT64_MIN| is not representable; the nearest representable magnitude is in the same bucket.
    const int64_t magnitude = difference < 0 ? -(difference == INT64_MIN ? -INT64_MAX : difference) : difference;
    return bucket_of((float)(magnitude < 1 ? 1 : magnitude));
}

// A cell holds the floats x ≥ 1 with the same upper 9 bits below the sign: a quarter of an octave, at most a factor of
// 1.25 wide. Buckets are a factor of e^0.301 = 1.351 wide, so at most one starts inside a cell. An entry is (bucket at
// the cell's end) << 21 | (lower 21 bits of the first float of that bucket). If no bucket starts inside, the lower bits
// are 0 and the comparison with them is always true.
void gk_time_cells_fill(uint32_t *cells) {
    for (uint32_t cell = 0; cell < gk_time_cells; cell++) {
        const uint32_t begin = (cell + (127u << 2)) << 21, last = begin | 0x1fffff;
        const int32_t bucket = bucket_of(__builtin_bit_cast(float, last));
        uint32_t low = begin, high = last;
        // The first float of the cell in the same bucket as the cell's last; the definition never decreases.
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            if (bucket_of(__builtin_bit_cast(float, middle)) < bucket) low = middle + 1;
            else high = middle;
        }
        cells[cell] = (uint32_t)bucket << 21 | (low & 0x1fffff);
    }
}
