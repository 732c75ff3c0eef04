// The probe of what the processor can do at most.

#include "CKernels.h"

void gk_probes_run(const void *opaque, size_t index, size_t worker) {
    (void)index;
    const gk_probes *job = opaque;
    job->results[gk_lanes * worker] += job->kernels->probe(job->rounds);
}
