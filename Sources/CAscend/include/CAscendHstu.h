// RecSDK's fused HSTU attention: aclnnHstuJaggedForward, or aclnnHstuDenseForward in older packages. These are
// operators of a package that is installed beside CANN. Their operands have changed between releases, and a call with
// the wrong ones is undefined. So each is bound only if the header installed with the library declares operands that
// are known here.

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

typedef aclnnStatus (*CAscend_planHstuJagged)(
#include "lists/hstu_jagged.inc"
    const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor);

#undef CASCEND_PARAMETER

typedef aclnnStatus (*CAscend_launchHstu)(
    void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

typedef struct CAscend_hstu {
    /// aclnnHstuDenseForward; at most one of the two plans is set.
    CAscend_planHstu plan;
    CAscend_planHstuDeterministic planDeterministic;
    CAscend_launchHstu launch;
    /// The library that it is from or, if it was not bound, one sentence why.
    char text[1024];
    /// The same for aclnnHstuJaggedForward.
    CAscend_planHstuJagged planJagged;
    CAscend_launchHstu launchJagged;
    char textJagged[1024];
} CAscend_hstu;

/// Binds aclnnHstuDenseForward of one package.
///
/// - Parameters:
///   - package: the package's folder, with op_api/lib/libcust_opapi.so and op_api/include/aclnn_hstu_dense_forward.h.
///   - plan, launch: the two functions of the library.
void CAscend_bindHstu(CAscend_hstu *hstu, const char *package, void *plan, void *launch);

/// The same for aclnnHstuJaggedForward, with op_api/include/aclnn_hstu_jagged_forward.h.
void CAscend_bindHstuJagged(CAscend_hstu *hstu, const char *package, void *plan, void *launch);

#ifdef __cplusplus
}
#endif

#endif
