// The limit on open descriptors: shells set it low, and each connection takes one.

internal import Glibc

/// The process's limit on open descriptors.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one. Returns the limit in force after it and, if it cannot be raised, the errno.
    package static func raise() -> (limit: Int, error: Int32?) {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limits = rlimit()
        guard getrlimit(resource, &limits) == 0 else { return (1_024, errno) }
        let soft = limits.rlim_cur
        limits.rlim_cur = limits.rlim_max
        guard setrlimit(resource, &limits) == 0 else { return (Int(clamping: soft), errno) }
        return (Int(clamping: limits.rlim_cur), nil)
    }
}
