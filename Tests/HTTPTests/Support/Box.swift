// A value that closures on several threads may change. Not over the standard library's Mutex: its slow path lies in a
// library that the thread sanitizer does not see, which then reports races on what two threads contend for.

import Glibc

/// A locked value.
///
/// `@unchecked Sendable`: `storage` is touched only under the lock.
final class Box<Value: Sendable>: @unchecked Sendable {
    private var storage: Value
    private let lock: UnsafeMutablePointer<pthread_mutex_t>

    init(_ value: Value) {
        storage = value
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    var value: Value {
        get { update { $0 } }
        set { update { $0 = newValue } }
    }

    /// Changes the value in one step.
    func update<Result>(_ change: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return change(&storage)
    }
}
