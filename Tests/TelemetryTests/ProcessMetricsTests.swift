// The process metrics against this test process.

import Glibc
import Testing

@testable import Telemetry

@Suite struct ProcessMetricsTests {
    private func values() -> [String: Double] {
        let registry = MetricRegistry()
        ProcessMetrics.register(in: registry)
        var values: [String: Double] = [:]
        for line in String(decoding: registry.exposition(.text), as: UTF8.self).split(separator: "\n")
        where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            values[String(parts[0])] = Double(parts[1])
        }
        return values
    }

    @Test func standardSetIsThere_WithPlausibleValues() throws {
        let values = values()
        #expect(
            Set(values.keys) == [
                "process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
                "process_virtual_memory_max_bytes", "process_threads", "process_open_fds", "process_max_fds",
                "process_start_time_seconds",
            ]
        )
        let resident = try #require(values["process_resident_memory_bytes"])
        #expect(resident > 1e6 && resident < 1e11)
        #expect(try #require(values["process_virtual_memory_bytes"]) >= resident)
        #expect(try #require(values["process_threads"]) >= 1)
        #expect(try #require(values["process_open_fds"]) >= 3)
        let now = Double(time(nil))
        let started = try #require(values["process_start_time_seconds"])
        #expect(started <= now + 1 && started > now - 86_400)
        // A test process that started seconds ago has used some CPU, and no more than its cores could give it.
        let cpu = try #require(values["process_cpu_seconds_total"])
        #expect(cpu > 0 && cpu < (now - started + 2) * 1_024)
    }

    @Test func maximumOfDescriptorsIsTheSoftLimit() throws {
        var limit = rlimit()
        try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        #expect(values()["process_max_fds"] == Double(limit.rlim_cur))
    }

    @Test(arguments: [
        "1 (genrec) S 0 1 1 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 9 0 777 123456 88 18446744073709551615\n",
        "1 (a) b) (S) S 0 1 1 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 9 0 777 123456 88 18446744073709551615\n",
    ])
    func statusIsParsed_WhateverTheCommandIsCalled(line: String) throws {
        let status = try #require(ProcessStatus(Array(line.utf8)))
        #expect(status.threadCount == 9)
        #expect(status.startTicks == 777)
        #expect(status.virtualBytes == 123_456)
        #expect(status.residentPages == 88)
    }

    @Test(arguments: ["", "1 genrec S 0", "1 (genrec) S 0 1", "1 (g) S 0 1 1 0 -1 4 1 0 0 0 5 6 0 0 20 0 x 0 7 1 8"])
    func statusThatIsCutOrWrong_IsNone(line: String) {
        #expect(ProcessStatus(Array(line.utf8)) == nil)
    }
}
