// A library with one of CANN's names: exports its share of the functions as jumps into the core, and nothing else.
// Compiled once per library; FACADE_RUNTIME, FACADE_TENSORS, FACADE_MATH, FACADE_NN, FACADE_HSTU and GENERATION define
// its content.

#if defined(__x86_64__)
#define JUMP(name) "jmp emulated_" #name "@PLT"
#elif defined(__aarch64__)
#define JUMP(name) "b emulated_" #name
#else
#error "no jump is known for this processor"
#endif

#define EXPORT_AS(name, target)                                                                                        \
    __asm__(".text\n.balign 16\n.globl " #name "\n.type " #name ",%function\n" #name ":\n" JUMP(target)                \
            "\n.size " #name ",.-" #name "\n");
#define EXPORT(name) EXPORT_AS(name, name)

#define CASCEND_FUNCTION(result, name, parameters) EXPORT(name)

#ifdef FACADE_RUNTIME
#define CASCEND_OPTIONAL_FUNCTION(result, name, parameters)
#include "lists/runtime.inc"
EXPORT(aclrtResetDeviceForce)
EXPORT(aclrtSetSysParamOpt)
EXPORT(aclrtSetOpExecuteTimeOut)
EXPORT(aclrtStreamAbort)
EXPORT(aclrtDestroyStreamForce)
EXPORT(aclrtGetLastError)
EXPORT(aclmdlRICaptureBegin)
EXPORT(aclmdlRICaptureEnd)
EXPORT(aclmdlRIExecuteAsync)
EXPORT(aclmdlRIDestroy)
#undef CASCEND_OPTIONAL_FUNCTION
#if GENERATION == 8
EXPORT(aclsysGetCANNVersion)
#else
EXPORT(aclsysGetVersionStr)
#endif
#include "extras_runtime.inc"
#endif

#ifdef FACADE_TENSORS
#include "lists/tensors.inc"
#include "extras_tensors.inc"
#endif

#ifdef FACADE_HSTU
#if FACADE_HSTU == 3
EXPORT(aclnnHstuJaggedForwardGetWorkspaceSize)
EXPORT(aclnnHstuJaggedForward)
#endif
#if FACADE_HSTU == 2
EXPORT_AS(aclnnHstuDenseForwardGetWorkspaceSize, aclnnHstuDenseForwardDeterministicGetWorkspaceSize)
#else
EXPORT(aclnnHstuDenseForwardGetWorkspaceSize)
#endif
EXPORT(aclnnHstuDenseForward)
#endif

#define EXPORT_OPERATOR(name) EXPORT(aclnn##name##GetWorkspaceSize) EXPORT(aclnn##name)
#ifdef FACADE_MATH
#define OPERATOR_math(name) EXPORT_OPERATOR(name)
#define FUNCTION_math(name) EXPORT(name)
#else
#define OPERATOR_math(name)
#define FUNCTION_math(name)
#endif
#ifdef FACADE_NN
#define OPERATOR_nn(name) EXPORT_OPERATOR(name)
#define FUNCTION_nn(name) EXPORT(name)
#else
#define OPERATOR_nn(name)
#define FUNCTION_nn(name)
#endif
#define CASCEND_OPERATOR(library, name, ...) OPERATOR_##library(name)
#define CASCEND_OPERATOR_FUNCTION(library, name, parameters) FUNCTION_##library(name)
#include "lists/operators.inc"
