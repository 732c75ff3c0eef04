// The standard `process_*` metrics, which Prometheus dashboards expect of any program. Read from the kernel at every
// scrape; what cannot be read is omitted.

import Glibc

/// Registers the standard metrics of this process.
package enum ProcessMetrics {
    /// Adds them to `registry`.
    package static func register(in registry: MetricRegistry) {
        registry.counter(
            "process_cpu_seconds_total",
            help: "Total user and system CPU time spent in seconds.",
            unit: "seconds"
        ) { cpuSeconds() }
        registry.gauge("process_resident_memory_bytes", help: "Resident memory size in bytes.", unit: "bytes") {
            ProcessStatus.read().map { Double($0.residentPages) * pageSize }
        }
        registry.gauge("process_virtual_memory_bytes", help: "Virtual memory size in bytes.", unit: "bytes") {
            ProcessStatus.read().map { Double($0.virtualBytes) }
        }
        registry.gauge(
            "process_virtual_memory_max_bytes",
            help: "Maximum amount of virtual memory available in bytes.",
            unit: "bytes"
        ) { softLimit(RLIMIT_AS) }
        registry.gauge("process_threads", help: "Number of OS threads in the process.") {
            ProcessStatus.read().map { Double($0.threadCount) }
        }
        registry.gauge("process_open_fds", help: "Number of open file descriptors.") { openDescriptors() }
        registry.gauge("process_max_fds", help: "Maximum number of open file descriptors.") {
            softLimit(RLIMIT_NOFILE)
        }
        let started = startTime()
        registry.gauge(
            "process_start_time_seconds",
            help: "Start time of the process since unix epoch in seconds.",
            unit: "seconds"
        ) { started }
    }

    private static let pageSize = Double(sysconf(Int32(_SC_PAGESIZE)))

    /// Uses the process clock, because the ticks of /proc/self/stat are 10 ms long.
    private static func cpuSeconds() -> Double? {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// A resource's soft limit; "unlimited" is the kernel's largest number, as in other exporters.
    private static func softLimit(_ resource: __rlimit_resource) -> Double? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return nil }
        return Double(limit.rlim_cur)
    }

    private static func openDescriptors() -> Double? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Excludes ".", ".." and the descriptor of the directory itself.
        return Double(count - 3)
    }

    /// The start time. The kernel gives it in ticks since boot, and the boot time in seconds since the epoch.
    private static func startTime() -> Double? {
        guard let status = ProcessStatus.read(), let boot = bootTime() else { return nil }
        return boot + Double(status.startTicks) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func bootTime() -> Double? {
        guard let bytes = readSmallFile("/proc/stat") else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "btime ".utf8) {
            return Double(String(decoding: line.dropFirst("btime ".utf8.count), as: UTF8.self))
        }
        return nil
    }
}

/// The fields of `/proc/<pid>/stat` (proc(5)) that the metrics need.
struct ProcessStatus: Equatable {
    let threadCount: UInt64
    let startTicks: UInt64
    let virtualBytes: UInt64
    let residentPages: UInt64

    /// The current status of this process.
    static func read() -> ProcessStatus? {
        readSmallFile("/proc/self/stat").flatMap(ProcessStatus.init)
    }

    /// Parses a line of the file. The second field is the command in parentheses, which may contain spaces and
    /// parentheses, so fields are counted from the last closing one; the first after it is field 3 of proc(5).
    init?(_ line: [UInt8]) {
        guard let close = line.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = line[(close + 1)...].split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") })
        func field(_ number: Int) -> UInt64? {
            let index = number - 3
            guard index < fields.count else { return nil }
            return UInt64(String(decoding: fields[index], as: UTF8.self))
        }
        guard let threadCount = field(20), let startTicks = field(22), let virtualBytes = field(23),
            let residentPages = field(24)
        else { return nil }
        self.threadCount = threadCount
        self.startTicks = startTicks
        self.virtualBytes = virtualBytes
        self.residentPages = residentPages
    }
}

/// The contents of a file in /proc; nil if it cannot be read. Such files have no size in advance, and /proc/stat grows
/// with the number of processors.
private func readSmallFile(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = Glibc.read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { return bytes }
        bytes.append(contentsOf: chunk[..<count])
    }
}
