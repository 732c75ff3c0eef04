// Shows a watchdog that the engine's thread is alive.

internal import Dispatch
internal import Locking
internal import Synchronization

extension Engine {
    /// Turns of the thread's main loop so far. During a long batch the number stays the same.
    package var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Makes the thread take a turn soon, even without work. It also signals a thread that is awake: that thread may be
    /// about to sleep, and then returns from its wait immediately.
    package func poke() {
        state.withLock { $0.isThreadAsleep = false }
        wakeUp.signal()
    }
}
