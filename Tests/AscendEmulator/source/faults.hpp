// Faults that are asked for: a list such as "oom@3,aicore@10,slow@7:2000", each of them happening once.
//
//   oom@n      the n-th aclrtMalloc from now has no memory: 207001
//   aicore@n   the n-th operator launched from now fails while it runs: 507015, and so does everything until a reset
//   slow@n:ms  the n-th operator launched from now takes that long
//   lost@n     at the n-th operator launched from now the device is lost: 507010 from everything until a reset
//   gone@n     the same, and resets do not bring it back: setting it fails with 507033

#pragma once

#include <cstdint>
#include <string>

namespace emulator {

enum class FaultKind { none, aicore, slow, lost, gone };

struct Fault {
    FaultKind kind = FaultKind::none;
    uint32_t milliseconds = 0;
};

/// Whether this allocation fails.
bool takeAllocationFault();

/// What happens to this launch.
Fault takeLaunchFault();

}  // namespace emulator
