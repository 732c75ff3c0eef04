// Whether a host has memory for one more model, found out before its weights are packed.

internal import Compute
internal import Foundation
internal import Models

/// What a process may still take of its host's memory, and what a model takes.
enum FreeMemory {
    /// The least of what the machine has available and what the control group (cgroup v2) leaves of its limit, without the files that
    /// the kernel keeps in memory for as long as nobody needs it; nil: neither is known.
    static var byteCount: Int? {
        func text(_ path: String) -> String {
            FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
        return least(
            meminfo: text("/proc/meminfo"),
            limit: text("/sys/fs/cgroup/memory.max"),
            used: text("/sys/fs/cgroup/memory.current"),
            statistics: text("/sys/fs/cgroup/memory.stat")
        )
    }

    /// - Parameters: the texts of the files; empty: there is none.
    static func least(meminfo: String, limit: String, used: String, statistics: String) -> Int? {
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

    /// Bytes that a model takes at most while it is loaded on a cpu: its packed weights, the rows of its items once to be gathered and
    /// once to be scored, and the largest tensor as the file has it.
    static func needed(_ specifications: [TensorSpecification], stored: DType, dtype: DType) -> Int {
        let counts = specifications.map(\.count)
        // The first is the items' table; its scored rows are bfloat16 where products are of int8.
        let items = counts.first ?? 0
        let packed = (counts.dropFirst().reduce(0, +)) * dtype.byteCount
        let table = items * (4 + (dtype == .float32 ? 4 : 2))
        return packed + table + (counts.max() ?? 0) * stored.byteCount
    }
}

extension ModelLoader {
    /// Refuses a model that a cpu has no memory for beside those that it has. NPUs say so themselves.
    ///
    /// - Throws: `.unavailable` with both numbers.
    func requireMemory(for bundle: ModelBundle, _ placement: ModelPlacement) throws(FleetError) {
        guard placesOnCPU(placement), let free = FreeMemory.byteCount else { return }
        let configuration = bundle.configuration
        let needed = FreeMemory.needed(
            configuration.architecture.configuration.tensorSpecifications,
            stored: configuration.dtype,
            dtype: dtype(of: placement)
        )
        if let sentence = Self.fault(needed: needed, free: free) {
            throw FleetError(.unavailable, "'\(configuration.name)' version '\(configuration.version)' \(sentence)")
        }
    }

    /// The end of a sentence about a model that does not fit; nil: it does.
    static func fault(needed: Int, free: Int) -> String? {
        needed <= free ? nil : "needs up to \(needed) bytes of memory while it is loaded, and \(free) are free"
    }
}
