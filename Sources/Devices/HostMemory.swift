// What a process may still take of its host's memory.

internal import Foundation

/// The host's memory, as Linux tells it.
package enum HostMemory {
    /// The least of what the machine has available and what the control group (cgroup v2) leaves of its limit, without the files that
    /// the kernel keeps in memory for as long as nobody needs it; nil: neither is known.
    package static var freeBytes: Int? {
        least(
            meminfo: text("/proc/meminfo"),
            limit: text("/sys/fs/cgroup/memory.max"),
            used: text("/sys/fs/cgroup/memory.current"),
            statistics: text("/sys/fs/cgroup/memory.stat")
        )
    }

    /// A file that the kernel makes up as it is read: it has no size. Empty: there is none.
    static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// - Parameters: the texts of the files; empty: there is none.
    package static func least(meminfo: String, limit: String, used: String, statistics: String) -> Int? {
        func number(_ text: some StringProtocol) -> Int? { Int(String(text.filter(\.isNumber))) }
        func line(_ name: String, of text: String) -> Int? {
            text.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap { number($0.dropFirst(name.count)) }
        }
        let machine = line("MemAvailable:", of: meminfo).map { $0 * 1_024 }
        var group: Int?
        // "max": there is no limit.
        if let limit = number(limit), let used = number(used) {
            let files = (line("inactive_file ", of: statistics) ?? 0) + (line("active_file ", of: statistics) ?? 0)
            group = max(0, limit - max(0, used - files))
        }
        return [machine, group].compactMap(\.self).min()
    }
}
