// Rotary positions: computes the cosines and sines of angles, and rotates rows by them.

#include "CKernels.h"

#include <math.h>

void gk_angles_run(const void *opaque, size_t index, size_t worker) {
    (void)worker;
    const gk_angles *job = opaque;
    const size_t begin = index * job->block_rows;
    const size_t end = job->rows - begin < job->block_rows ? job->rows : begin + job->block_rows;
    for (size_t r = begin; r < end; r++) {
        const float position = job->positions ? (float)job->positions[r] : (float)r;
        float *cosines = job->table + r * 2 * job->pairs, *sines = cosines + job->pairs;
        for (size_t j = 0; j < job->pairs; j++) {
            // The angle is rounded to float32, as in training; cosine and sine are libm's.
            const float angle = position * job->frequencies[j];
            cosines[j] = cosf(angle);
            sines[j] = sinf(angle);
        }
    }
}

void gk_rotation_run(const void *opaque, size_t index, size_t worker) {
    (void)worker;
    const gk_rotation *job = opaque;
    const size_t begin = index * job->block_rows;
    const size_t end = job->rows - begin < job->block_rows ? job->rows : begin + job->block_rows;
    for (size_t r = begin; r < end; r++) {
        const size_t row = job->table_rows ? (size_t)job->table_rows[r] : r;
        const float *cosines = job->table + row * 2 * job->pairs;
        job->kernels->rotate(
            job->heads, job->pairs, job->pairing, cosines, cosines + job->pairs, job->x + r * job->x_stride);
    }
}
