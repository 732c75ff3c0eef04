// The limit on open descriptors. Shells set it low, and each connection takes one.

internal import Glibc

/// The process's limit on open descriptors.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one. Returns the limit in force after it and, if it cannot be raised, the
    /// errno.
    package static func raise() -> (limit: Int, error: Int32?) {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limits = rlimit()
        guard getrlimit(resource, &limits) == 0 else { return (1_024, errno) }
        let soft = limits.rlim_cur
        limits.rlim_cur = limits.rlim_max
        guard setrlimit(resource, &limits) == 0 else { return (Int(clamping: soft), errno) }
        return (Int(clamping: limits.rlim_cur), nil)
    }

    /// Whether `count` more descriptors can be opened. Opens none itself, because other threads may need one meanwhile.
    package static func canOpen(_ count: Int) -> Bool {
        var limits = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else { return true }
        var free = 0
        for descriptor in 0..<Int32(clamping: limits.rlim_cur) where free < count {
            if fcntl(descriptor, F_GETFD) < 0 { free += 1 }
        }
        return free >= count
    }
}
