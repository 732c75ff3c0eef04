// RecSDK's fused attention of HSTU, aclnnHstuDenseForward: an operator of a package that is installed beside CANN. Its list of
// operands has changed between releases, and a call with another list is undefined; so it is bound only where the header that
// is installed with the library declares one of the lists that are known here.

#ifndef GENREC_CASCEND_HSTU_H
#define GENREC_CASCEND_HSTU_H

#include "CAscendTypes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CASCEND_PARAMETER(type, name) type name,

typedef aclnnStatus (*CAscend_planHstu)(
#include "lists/hstu.inc"
    const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor);

typedef aclnnStatus (*CAscend_planHstuDeterministic)(
#include "lists/hstu.inc"
    bool deterministic, const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor);

#undef CASCEND_PARAMETER

typedef struct CAscend_hstu {
    /// One of both, or neither.
    CAscend_planHstu plan;
    CAscend_planHstuDeterministic planDeterministic;
    aclnnStatus (*launch)(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);
    /// The library that it is from; where it was not bound, one sentence why.
    char text[1024];
} CAscend_hstu;

/// Binds the operator of one package.
///
/// - Parameters:
///   - package: the package's folder, which has op_api/lib/libcust_opapi.so and op_api/include/aclnn_hstu_dense_forward.h.
///   - plan, launch: the two functions of the library.
void CAscend_bindHstu(CAscend_hstu *hstu, const char *package, void *plan, void *launch);

#ifdef __cplusplus
}
#endif

#endif
