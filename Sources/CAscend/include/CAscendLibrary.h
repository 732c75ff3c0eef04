// The CANN functions found in this process, and how they are found.

#ifndef GENREC_CASCEND_LIBRARY_H
#define GENREC_CASCEND_LIBRARY_H

#include "CAscendHstu.h"
#include "CAscendTypes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CASCEND_FUNCTION(result, name, parameters) result (*name) parameters;
#define CASCEND_OPTIONAL_FUNCTION(result, name, parameters) result (*name) parameters;

/// Devices, memory, streams, events. Required functions are never NULL in a loaded library.
typedef struct CAscend_runtime {
#include "lists/runtime.inc"
} CAscend_runtime;

/// Operands of operators. Never NULL in a loaded library.
typedef struct CAscend_tensors {
#include "lists/tensors.inc"
} CAscend_tensors;

/// Phase 2 of every operator: enqueues the planned call.
typedef aclnnStatus (*CAscend_launch)(
    void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

/// The operators. A NULL `plan` or `launch` means that no package has the operator; neither is NULL without the other.
typedef struct CAscend_operators {
#define CASCEND_OPERATOR(library, name, ...)                                                       \
    struct {                                                                                       \
        aclnnStatus (*plan)(__VA_ARGS__, uint64_t *workspaceSize, aclOpExecutor **executor);       \
        CAscend_launch launch;                                                                     \
    } name;
#define CASCEND_OPERATOR_FUNCTION(library, name, parameters) aclnnStatus(*name) parameters;
#include "lists/operators.inc"
#undef CASCEND_OPERATOR
#undef CASCEND_OPERATOR_FUNCTION
} CAscend_operators;

#undef CASCEND_FUNCTION
#undef CASCEND_OPTIONAL_FUNCTION

typedef struct CAscend_library {
    CAscend_runtime runtime;
    CAscend_tensors tensors;
    CAscend_operators operators;
    CAscend_hstu hstu;
} CAscend_library;

/// Finds CANN and fills `library`.
///
/// Runtime functions are looked up in libacl_rt.so, then in libascendcl.so; functions for operands in libnnopbase.so.
/// Operators are looked up, in this order, in every `<p>/op_api/lib/libcust_opapi.so` with <p> from
/// ASCEND_CUSTOM_OPP_PATH, in those of the vendors that `load_priority=` names in
/// `$ASCEND_OPP_PATH/vendors/config.ini`, in libopapi_{math,nn,transformer}.so and in libopapi.so. CANN's own libraries
/// are searched by name, then in `$ASCEND_HOME_PATH/lib64`, then in `$ASCEND_TOOLKIT_HOME/lib64`. This is the order of
/// torch_npu (op-plugin, op_api_common.cpp). Libraries are never unloaded, because CANN starts its own threads.
///
/// Two threads must not call it at the same time.
///
/// - Parameters:
///   - message: receives one sentence if something required is missing: what, where it was searched, what to do.
///   - length: bytes of `message`, at least 1.
/// - Returns: true if every required function was found.
bool CAscend_load(CAscend_library *library, char *message, size_t length);

#ifdef __cplusplus
}
#endif

#endif
