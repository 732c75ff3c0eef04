// Requested faults: a list such as "oom@3,aicore@10,hold@7", each of which occurs once.
//
//   oom@n      the n-th aclrtMalloc from now fails for lack of memory: 207001
//   refuse@n   the n-th phase 1 of an operator from now finds no kernel: 561103, of a generated operator 561003
//   full@n     the n-th capture from now finds no stream left: 207008
//   aicore@n   the n-th operator launched from now fails while it runs: 507015, and so does everything until a reset
//   hold@n     the n-th operator launched from now runs until AscendEmulator_release or until its stream is aborted, and uses
//              its workspace meanwhile; a forced reset would wait for it forever
//   late@n     the n-th wait with a time-out from now times out immediately: 507046, 507047
//   lost@n     at the n-th operator launched from now the device is lost: 507010 from everything until a reset
//   gone@n     the same, and resets do not restore it: setting it fails with 507033

#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace emulator {

enum class FaultKind { none, aicore, hold, lost, gone };

/// Whether this allocation fails.
bool takeAllocationFault();

/// Whether no kernel accepts this phase 1's operands.
bool takePlanFault();

/// Whether this capture gets no stream.
bool takeCaptureFault();

/// The fault of this launch.
FaultKind takeLaunchFault();

/// Whether this wait times out immediately.
bool takeWaitFault();

/// Waits until held operators are released; false: one of both flags has become true, which `wakeHeld` makes it check.
bool waitForRelease(const std::atomic<bool> &isReset, const std::atomic<bool> &isAborted);
void wakeHeld();

}  // namespace emulator
