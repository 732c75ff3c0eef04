// What a test may ask the emulator for beyond ACL: exported by the core library, which every façade of a layout loads.

#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ASCEND_EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define ASCEND_EMULATOR_EXPORT
#endif

/// How often a function was called since the last reset; a name that ends with * counts all that begin like it. Beside the
/// functions' names: "pageable copy" (an asynchronous copy whose host memory is not pinned, so that it waits), "launch" (any
/// operator's phase 2).
ASCEND_EMULATOR_EXPORT uint64_t AscendEmulator_calls(const char *name);

/// Forgets all calls.
ASCEND_EMULATOR_EXPORT void AscendEmulator_resetTrace(void);

/// The last calls, a line each: thread, name, arguments. Returns the length of the whole text.
ASCEND_EMULATOR_EXPORT size_t AscendEmulator_trace(char *text, size_t length);

/// What ASCEND_EMULATOR_SOC says, for a process that has tests of several chips; only while CANN is not initialised.
ASCEND_EMULATOR_EXPORT void AscendEmulator_setChip(const char *soc);

/// Faults to come, in the form of ASCEND_EMULATOR_FAULTS (faults.hpp), counted from now on; replaces those still to come.
ASCEND_EMULATOR_EXPORT void AscendEmulator_inject(const char *faults);

/// Waits until an operator is held.
ASCEND_EMULATOR_EXPORT void AscendEmulator_awaitHeld(void);

/// Lets one operator go on that is held, or will be.
ASCEND_EMULATOR_EXPORT void AscendEmulator_release(void);
