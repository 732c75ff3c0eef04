// Faults that are asked for: a list such as "oom@3,aicore@10,hold@7", each of them happening once.
//
//   oom@n      the n-th aclrtMalloc from now has no memory: 207001
//   refuse@n   the n-th phase 1 of an operator from now finds no kernel: 561103, of a generated operator 561003
//   full@n     the n-th capture from now finds no stream left: 207008
//   aicore@n   the n-th operator launched from now fails while it runs: 507015, and so does everything until a reset
//   hold@n     the n-th operator launched from now runs on until AscendEmulator_release or until its stream is aborted, and has
//              its workspace meanwhile; a reset by force would wait for it for ever
//   late@n     the n-th wait with a time-out from now is told at once that it has not come in time: 507046, 507047
//   lost@n     at the n-th operator launched from now the device is lost: 507010 from everything until a reset
//   gone@n     the same, and resets do not bring it back: setting it fails with 507033

#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace emulator {

enum class FaultKind { none, aicore, hold, lost, gone };

/// Whether this allocation fails.
bool takeAllocationFault();

/// Whether no kernel takes this phase 1's operands.
bool takePlanFault();

/// Whether there is no stream for this capture.
bool takeCaptureFault();

/// What happens to this launch.
FaultKind takeLaunchFault();

/// Whether this wait has no time.
bool takeWaitFault();

/// Waits until what is held is released; false: one of both has become true, which `wakeHeld` makes it look at.
bool waitForRelease(const std::atomic<bool> &isReset, const std::atomic<bool> &isAborted);
void wakeHeld();

}  // namespace emulator
