// The project's one lock: a pthread mutex with the value that it guards. The thread sanitizer knows pthread's mutexes;
// the slow path of `Synchronization.Mutex` is in a library without instrumentation, so that correct programs were
// reported and the reports of wrong ones drowned (decision record 0060).

internal import Glibc

/// A value that one thread at a time may use.
///
/// The interface is that of `Synchronization.Mutex`. It is not recursive.
package struct Lock<Value>: ~Copyable, @unchecked Sendable {
    // On the heap, since a mutex must not move.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let value: UnsafeMutablePointer<Value>

    package init(_ initial: consuming sending Value) {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        // It fails only for attributes, and there are none.
        pthread_mutex_init(mutex, nil)
        value = .allocate(capacity: 1)
        value.initialize(to: initial)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Calls `body` with the value while no other thread has it.
    package func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value.pointee)
    }
}
