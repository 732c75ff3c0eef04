// How much more of its host's memory a process may use.

internal import Foundation

/// The host's memory, as Linux reports it.
package enum HostMemory {
    /// The smaller of the machine's available memory and the rest of the control group's limit (cgroup v2), not
    /// counting reclaimable page cache as used; nil if neither is known.
    package static var freeBytes: Int? {
        least(
            meminfo: text("/proc/meminfo"),
            limit: text("/sys/fs/cgroup/memory.max"),
            used: text("/sys/fs/cgroup/memory.current"),
            statistics: text("/sys/fs/cgroup/memory.stat")
        )
    }

    /// The text of a file that the kernel generates when it is read, and which has no size; empty if there is none.
    static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// `freeBytes` from the texts of the files, each empty if there is no such file.
    package static func least(meminfo: String, limit: String, used: String, statistics: String) -> Int? {
        func number(_ text: some StringProtocol) -> Int? { Int(String(text.filter(\.isNumber))) }
        func line(_ name: String, of text: String) -> Int? {
            text.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap { number($0.dropFirst(name.count)) }
        }
        let machine = line("MemAvailable:", of: meminfo).map { $0 * 1_024 }
        var group: Int?
        // No number means "max", no limit.
        if let limit = number(limit), let used = number(used) {
            let files = (line("inactive_file ", of: statistics) ?? 0) + (line("active_file ", of: statistics) ?? 0)
            group = max(0, limit - max(0, used - files))
        }
        return [machine, group].compactMap(\.self).min()
    }
}
