// The project's one lock: a pthread mutex with the value that it guards. The thread sanitizer knows pthread's mutexes;
// the slow path of `Synchronization.Mutex` is in a library without instrumentation, so that correct programs were
// reported and the reports of wrong ones drowned (decision record 0060).

public import Glibc

/// A value that one thread at a time may use.
///
/// The interface is that of `Synchronization.Mutex`. It is not recursive. It is public because the compiler specialises
/// nothing else for other rooms; unspecialised, a lock costs six times as much.
public struct Lock<Value>: ~Copyable, @unchecked Sendable {
    @usableFromInline
    struct Storage {
        @usableFromInline var mutex = pthread_mutex_t()
        @usableFromInline var value: Value

        @inlinable
        init(_ value: consuming sending Value) { self.value = value }
    }

    // On the heap, since a mutex must not move. One block for both: locks are made for every request.
    @usableFromInline let storage: UnsafeMutablePointer<Storage>

    /// A free lock with its value.
    @inlinable
    public init(_ initial: consuming sending Value) {
        storage = .allocate(capacity: 1)
        storage.initialize(to: Storage(initial))
        // It fails only for attributes, and there are none.
        pthread_mutex_init(mutex, nil)
    }

    @inlinable
    deinit {
        pthread_mutex_destroy(mutex)
        storage.deinitialize(count: 1)
        storage.deallocate()
    }

    /// Swift lays a struct's properties out in their order, so the first one begins where the struct does.
    @inlinable var mutex: UnsafeMutablePointer<pthread_mutex_t> {
        UnsafeMutableRawPointer(storage).assumingMemoryBound(to: pthread_mutex_t.self)
    }

    /// Calls `body` with the value while no other thread has it.
    @inlinable
    public func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&storage.pointee.value)
    }
}
