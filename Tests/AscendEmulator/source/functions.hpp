// Every function of the emulated interface, declared from the lists by which CAscend binds (so that the two cannot
// differ) and from extras_*.inc, which contain the further functions that the strictness rules need. Inside the core a
// function's symbol is `emulated_<name>`: only the façade libraries of a layout export the plain name, each its own
// share (facade.c).

#pragma once

#include "CAscend.h"
#include "extras.hpp"

#define EMULATED_SYMBOL(name) __attribute__((visibility("default"))) __asm__("emulated_" #name)

extern "C" {
#define CASCEND_FUNCTION(result, name, parameters) result name parameters EMULATED_SYMBOL(name);
#define CASCEND_OPTIONAL_FUNCTION CASCEND_FUNCTION
#include "lists/runtime.inc"
#include "lists/tensors.inc"
#include "extras_runtime.inc"
#include "extras_tensors.inc"
#define CASCEND_OPERATOR(library, name, ...)                                                                           \
    aclnnStatus aclnn##name##GetWorkspaceSize(__VA_ARGS__, uint64_t *workspaceSize, aclOpExecutor **executor)          \
        EMULATED_SYMBOL(aclnn##name##GetWorkspaceSize);                                                                \
    aclnnStatus aclnn##name(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream)      \
        EMULATED_SYMBOL(aclnn##name);
#define CASCEND_OPERATOR_FUNCTION(library, name, parameters) aclnnStatus name parameters EMULATED_SYMBOL(name);
#include "lists/operators.inc"
#undef CASCEND_OPERATOR
#undef CASCEND_OPERATOR_FUNCTION
#undef CASCEND_OPTIONAL_FUNCTION
#undef CASCEND_FUNCTION

// RecSDK's fused attention: the dense operator in both of its forms, of which a package exports one under the first
// one's name, and the jagged one.
#define CASCEND_PARAMETER(type, name) type name,
aclnnStatus aclnnHstuDenseForwardGetWorkspaceSize(
#include "lists/hstu.inc"
    const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor)
    EMULATED_SYMBOL(aclnnHstuDenseForwardGetWorkspaceSize);
aclnnStatus aclnnHstuDenseForwardDeterministicGetWorkspaceSize(
#include "lists/hstu.inc"
    bool deterministic, const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor)
    EMULATED_SYMBOL(aclnnHstuDenseForwardDeterministicGetWorkspaceSize);
aclnnStatus aclnnHstuJaggedForwardGetWorkspaceSize(
#include "lists/hstu_jagged.inc"
    const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor)
    EMULATED_SYMBOL(aclnnHstuJaggedForwardGetWorkspaceSize);
#undef CASCEND_PARAMETER
aclnnStatus aclnnHstuJaggedForward(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream)
    EMULATED_SYMBOL(aclnnHstuJaggedForward);
aclnnStatus aclnnHstuDenseForward(void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream)
    EMULATED_SYMBOL(aclnnHstuDenseForward);
}
