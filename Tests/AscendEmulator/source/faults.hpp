// Faults that are asked for: a list such as "oom@3,aicore@10,hold@7", each of them happening once.
//
//   oom@n      the n-th aclrtMalloc from now has no memory: 207001
//   aicore@n   the n-th operator launched from now fails while it runs: 507015, and so does everything until a reset
//   hold@n     the n-th operator launched from now runs on until AscendEmulator_release, and has its workspace meanwhile
//   lost@n     at the n-th operator launched from now the device is lost: 507010 from everything until a reset
//   gone@n     the same, and resets do not bring it back: setting it fails with 507033

#pragma once

#include <cstdint>
#include <string>

namespace emulator {

enum class FaultKind { none, aicore, hold, lost, gone };

/// Whether this allocation fails.
bool takeAllocationFault();

/// What happens to this launch.
FaultKind takeLaunchFault();

/// Waits until what is held is released.
void waitForRelease();

}  // namespace emulator
