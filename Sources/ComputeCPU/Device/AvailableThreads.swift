// The number of threads that this process may keep busy, from its affinity mask and the processor quotas of its control
// groups.

internal import CLinux
internal import Glibc

extension CPUDevice {
    /// The number of processors that this process may use at once, at least 1: at most those in its affinity mask, and
    /// at most the whole processors of the smallest quota among its control groups (version 2, or version 1 if a
    /// container mounts it). More threads would be throttled for the rest of every period.
    package static var availableThreads: Int {
        min(Int(CLinux_allowedProcessors()), ProcessorQuota.ofThisProcess ?? .max)
    }
}

/// The processor limits of control groups, read from the kernel's files.
enum ProcessorQuota {
    /// Whole processors, at least 1; nil if there is no limit.
    static var ofThisProcess: Int? {
        var least: Int?
        func apply(_ limit: Int?) {
            if let limit { least = min(least ?? limit, limit) }
        }
        // The limit of every ancestor counts. Inside a container the group's own path may not be visible, but its root
        // is.
        var path = text(at: "/proc/self/cgroup").flatMap(unifiedPath) ?? ""
        while true {
            apply(text(at: "/sys/fs/cgroup\(path)/cpu.max").flatMap(unified))
            guard let slash = path.lastIndex(of: "/") else { break }
            path = String(path[..<slash])
        }
        if let quota = text(at: "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
            let period = text(at: "/sys/fs/cgroup/cpu/cpu.cfs_period_us")
        {
            apply(unified("\(quota.prefix { !$0.isNewline }) \(period)"))
        }
        return least
    }

    /// The path in a line `0::/path` of /proc/self/cgroup, without a slash at its end.
    static func unifiedPath(_ text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix("0::/") {
            let path = line.dropFirst(3)
            return path == "/" ? "" : String(path)
        }
        return nil
    }

    /// Whole processors of a `cpu.max` file, "quota period" in microseconds; nil for "max" and for anything else.
    static func unified(_ text: String) -> Int? {
        let words = text.split { $0 == " " || $0.isNewline }
        guard words.count == 2, let quota = Int(words[0]), let period = Int(words[1]), quota > 0, period > 0 else {
            return nil
        }
        return max(1, quota / period)
    }

    /// A small file's text; nil if it cannot be read.
    private static func text(at path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = max(0, Glibc.read(descriptor, buffer.baseAddress, buffer.count))
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
