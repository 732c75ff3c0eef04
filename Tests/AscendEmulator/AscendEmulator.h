// Controls of the emulator beyond ACL: exported by the core library, which every façade of a layout loads.

#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ASCEND_EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define ASCEND_EMULATOR_EXPORT
#endif

/// The number of calls of a function since the last reset; a name that ends with * counts all functions with that
/// prefix. Further names: "pageable copy" (an asynchronous copy whose host memory is not pinned, so that it waits),
/// "launch" (an operator enqueued to run, by its phase 2 or in a captured sequence).
ASCEND_EMULATOR_EXPORT uint64_t AscendEmulator_calls(const char *name);

/// Forgets all calls.
ASCEND_EMULATOR_EXPORT void AscendEmulator_resetTrace(void);

/// The last calls, one per line: thread, name, arguments. Returns the length of the whole text.
ASCEND_EMULATOR_EXPORT size_t AscendEmulator_trace(char *text, size_t length);

/// Overrides ASCEND_EMULATOR_SOC, for a process that tests several chips; only while CANN is not initialised.
ASCEND_EMULATOR_EXPORT void AscendEmulator_setChip(const char *soc);

/// Further faults, in the form of ASCEND_EMULATOR_FAULTS (faults.hpp), counted from now on; replaces pending ones.
ASCEND_EMULATOR_EXPORT void AscendEmulator_inject(const char *faults);

/// Waits until an operator is held.
ASCEND_EMULATOR_EXPORT void AscendEmulator_awaitHeld(void);

/// Lets one held operator continue, or the next one that is held.
ASCEND_EMULATOR_EXPORT void AscendEmulator_release(void);
