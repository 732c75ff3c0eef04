// Settings: their ranges, their layers, and that Config/genrec.yaml documents them all.

import Devices
import Engine
import Foundation
import HTTP
import Testing

@testable import Service

@Suite struct ServiceConfigurationTests {
    /// The sentence with which settings are refused; nil: they are not.
    private static func refusal(_ flags: [String: String], file: String? = nil) -> String? {
        do {
            _ = try ServiceConfiguration(file: file, flags: flags, environment: [:])
            return nil
        } catch {
            return String(describing: error)
        }
    }

    /// Calls `body` with the path of a file that has the text.
    private static func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString).yaml")
            .path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    @Test(arguments: [
        ("http.loops", 1, 256), ("http.max_connections", 1, 1_048_576),
        ("http.max_connections_per_address", 1, 1_048_576), ("http.max_request_line_bytes", 64, 16_777_216),
        ("http.max_header_bytes", 64, 16_777_216), ("http.max_header_count", 1, 65_536),
        ("http.max_body_bytes", 0, 1_073_741_824), ("http.max_read_ahead_bytes", 1, 1_073_741_824),
        ("http.tls_handshake_timeout_ms", 10, 86_400_000), ("tls.session_lifetime_s", 60, 604_800),
        ("http.first_byte_timeout_ms", 10, 86_400_000), ("http.header_timeout_ms", 10, 86_400_000),
        ("http.body_window_ms", 10, 86_400_000), ("http.idle_timeout_ms", 10, 86_400_000),
        ("http.write_stall_timeout_ms", 10, 86_400_000), ("http.linger_timeout_ms", 10, 86_400_000),
        ("http.min_body_bytes_per_second", 0, 1_073_741_824), ("scheduler.max_queued_requests", 1, 1_000_000),
        ("scheduler.max_batch_sequences", 1, 4_096), ("scheduler.max_batch_events", 1, 1_048_576),
        ("scheduler.max_wait_us", 0, 1_000_000), ("scheduler.min_wait_us", 0, 1_000_000),
        ("scheduler.prefill_chunk_events", 1, 1_048_576), ("scheduler.max_queued_ms", 0, 3_600_000),
        ("cache.bytes", 0, 1_099_511_627_776), ("cache.window_stride", 0, 65_536),
        ("scheduler.priority_advantage_ms", 0, 60_000), ("engine.device_timeout_ms", 1, 3_600_000),
        ("engine.recovery_backoff_ms", 1, 3_600_000), ("engine.recovery_backoff_max_ms", 1_000, 3_600_000),
        ("limits.max_history", 1, 1_000_000), ("limits.max_filter_entries", 0, 1_000_000),
        ("limits.max_batch", 1, 4_096), ("drain.timeout_ms", 0, 3_600_000),
    ])
    func number_IsTakenAtItsBounds_AndRefusedBeyondThem(key: String, low: Int, high: Int) {
        #expect(Self.refusal([key: "\(low)"]) == nil)
        #expect(Self.refusal([key: "\(high)"]) == nil)
        for wrong in ["\(low - 1)", "\(high + 1)", "many", "1.5", "99999999999999999999", " 1"] {
            let sentence = "\(key) must be a whole number from \(low) to \(high), not '\(wrong)'"
            #expect(Self.refusal([key: wrong]) == sentence)
        }
    }

    @Test func theLongestPause_IsNoShorterThanTheFirst() {
        let first = ["engine.recovery_backoff_ms": "120000"]
        #expect(Self.refusal(first) == nil)
        #expect(Self.refusal(first.merging(["engine.recovery_backoff_max_ms": "120000"]) { $1 }) == nil)
        #expect(
            Self.refusal(first.merging(["engine.recovery_backoff_max_ms": "119999"]) { $1 })
                == "engine.recovery_backoff_max_ms must be a whole number from 120000 to 3600000, not '119999'"
        )
    }

    @Test func defaultK_IsBoundedByMaxK() {
        #expect(Self.refusal(["limits.max_k": "5", "limits.default_k": "5"]) == nil)
        #expect(Self.refusal(["limits.max_k": "5", "limits.default_k": "6"])?.contains("limits.default_k") == true)
        #expect(Self.refusal(["limits.max_k": "5"]) == nil)
        #expect(Self.refusal(["limits.max_k": "100001"])?.contains("limits.max_k") == true)
    }

    @Test(arguments: [("http.listen", "nowhere"), ("admin.listen", "example.com:1"), ("log.level", "loud")])
    func text_IsRefusedByWhatItSays(key: String, value: String) {
        #expect(Self.refusal([key: value])?.contains(value == "example.com:1" ? "localhost" : value) == true)
    }

    @Test func devices_AreOneCPU_OrNPUsThatDiffer() throws {
        func devices(_ text: String) throws -> [ComputeSettings.DeviceKind] {
            try ServiceConfiguration(flags: ["engine.device": text], environment: [:]).compute.devices
        }
        #expect(try devices("cpu") == [.cpu] && devices("ascend:3") == [.ascend(3)])
        #expect(try devices("ascend:0,ascend:1, ascend:7") == [.ascend(0), .ascend(1), .ascend(7)])
        for (text, part) in [
            ("gpu", "no device 'gpu'"), ("ascend", "no device 'ascend'"), ("ascend:", "no device 'ascend:'"),
            ("ascend:-1", "no device 'ascend:-1'"), ("ascend:65536", "no device"), ("cpu,", "no device ''"),
            ("ascend:1,ascend:1", "ascend:1 is named twice"), ("cpu,ascend:0", "the cpu computes alone"),
        ] {
            #expect(Self.refusal(["engine.device": text])?.contains(part) == true, "\(text)")
        }
    }

    @Test func dtype_IsOneThatTheDeviceComputesIn() throws {
        for (device, dtype, part) in [
            ("cpu", "auto", nil), ("cpu", "f32", nil), ("cpu", "bf16", nil), ("cpu", "int8", nil),
            ("cpu", "f16", "the cpu does not compute in f16"), ("ascend:0", "auto", nil), ("ascend:0", "f16", nil),
            ("ascend:0", "bf16", nil), ("ascend:0", "f32", "ascend devices do not compute in f32; use bf16 or f16"),
            ("ascend:0", "int8", "ascend devices do not compute in int8"), ("cpu", "f64", "there is no dtype 'f64'"),
        ] {
            let refusal = Self.refusal(["engine.device": device, "engine.dtype": dtype])
            if let part {
                #expect(refusal?.contains(part) == true, "\(device) \(dtype)")
            } else {
                #expect(refusal == nil, "\(device) \(dtype)")
            }
        }
    }

    @Test func fallback_IsForNPUs() throws {
        let npu = ["engine.device": "ascend:0"]
        #expect(try ServiceConfiguration(flags: npu, environment: [:]).compute.fallback == .none)
        let both = npu.merging(["engine.fallback": "cpu", "engine.recovery_backoff_ms": "50"]) { $1 }
        let compute = try ServiceConfiguration(flags: both, environment: [:]).compute
        #expect(compute.fallback == .cpu && compute.backoff.firstNanoseconds == 50_000_000)
        #expect(Self.refusal(["engine.fallback": "cpu"])?.contains("the fallback is for NPUs") == true)
        #expect(Self.refusal(["engine.fallback": "gpu"]) == "engine.fallback must be one of none, cpu, not 'gpu'")
    }

    @Test func unknownKeyOfTheFile_IsRefusedByName() throws {
        for (text, key) in [("limits:\n  max_bach: 3\n", "limits.max_bach"), ("auth:\n  keys: x\n", "auth.keys")] {
            let refusal = try Self.withFile(text) { Self.refusal([:], file: $0) }
            #expect(refusal?.hasSuffix("there is no setting '\(key)'") == true)
        }
    }

    @Test func layers_FileUnderEnvironmentUnderFlag() throws {
        try Self.withFile("limits:\n  max_batch: 2\n  max_k: 20\nadmin:\n  listen: 127.0.0.1:1\n") { file in
            var configuration = try ServiceConfiguration(file: file, environment: [:])
            #expect(configuration.limits.maxBatch == 2)
            let environment = ["GENREC_LIMITS_MAX_BATCH": "3", "GENREC_ADMIN_LISTEN": "unix:/a", "GENREC_OTHER": "x"]
            configuration = try ServiceConfiguration(file: file, environment: environment)
            #expect(configuration.limits.maxBatch == 3)
            #expect(configuration.limits.maxK == 20)
            #expect(configuration.adminHTTP?.addresses == [.unix(path: "/a")])
            configuration = try ServiceConfiguration(
                file: file,
                flags: ["limits.max_batch": "4"],
                environment: environment
            )
            #expect(configuration.limits.maxBatch == 4)
        }
        let defaults = try ServiceConfiguration(environment: [:])
        #expect(defaults.limits.maxBatch == 256)
        #expect(defaults.adminHTTP == nil && defaults.keysFile == nil)
    }

    @Test func adminListener_HasTheLimitsOfTheCallers_AndOneLoop() throws {
        let configuration = try ServiceConfiguration(
            flags: ["admin.listen": "[::1]:9", "http.loops": "4", "http.max_body_bytes": "77"],
            environment: [:]
        )
        let admin = try #require(configuration.adminHTTP)
        #expect(admin.addresses == [.tcp(host: "::1", port: 9)])
        #expect(admin.loops == 1 && admin.limits == configuration.http.limits && admin.limits.bodyBytes == 77)
    }

    @Test func tls_NeedsCertificateAndKey_AndATCPAddress() throws {
        let pair = ["tls.certificate": "a.pem", "tls.key": "b.pem"]
        let tls = try #require(try ServiceConfiguration(flags: pair, environment: [:]).tls)
        #expect(tls.certificate == "a.pem" && tls.key == "b.pem" && tls.clientCA == nil)
        #expect(tls.sessionLifetimeSeconds == 3_600)
        for (flags, missing) in [
            (["tls.key": "b"], "tls.certificate"), (["tls.certificate": "a"], "tls.key"),
            (["tls.client_ca": "c"], "tls.certificate"), (["tls.client_ca": "c", "tls.certificate": "a"], "tls.key"),
        ] {
            #expect(Self.refusal(flags)?.hasSuffix("so \(missing) must be set, too") == true)
        }
        let local = pair.merging(["http.listen": "unix:/a"]) { $1 }
        #expect(Self.refusal(local)?.contains("no TCP address") == true)
        #expect(Self.refusal(local.merging(["admin.listen": "127.0.0.1:1"]) { $1 }) == nil)
    }

    @Test func documentedFile_HasEveryKey_AtItsDefault() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Config/genrec.yaml").path
        let reader = try ConfigurationReader(file: nil, environment: [:], flags: [:])
        let defaults = try ServiceConfiguration(reader)
        let documented = try ServiceConfiguration(file: path, environment: [:])
        #expect(documented.limits == defaults.limits)
        #expect(documented.http.addresses == defaults.http.addresses)
        #expect(documented.http.loops == defaults.http.loops)
        #expect(documented.http.limits == defaults.http.limits)
        #expect(documented.http.timeouts == defaults.http.timeouts)
        #expect(documented.adminHTTP == nil && documented.keysFile == nil && documented.bundlePath == nil)
        #expect(documented.tls == nil)
        #expect(documented.compute == defaults.compute)
        #expect(documented.drainTimeoutNanoseconds == defaults.drainTimeoutNanoseconds)
        #expect(documented.drainDelayNanoseconds == defaults.drainDelayNanoseconds)
        #expect(documented.logLevel == defaults.logLevel && documented.logFormat == defaults.logFormat)
        #expect(documented.logQueueBytes == defaults.logQueueBytes && documented.hosts == defaults.hosts)

        // The file is flat enough to be read line by line: sections, and keys of two spaces under them.
        var keys: Set<String> = []
        var section = ""
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            guard !line.drop(while: { $0 == " " }).hasPrefix("#"), let colon = line.firstIndex(of: ":") else {
                continue
            }
            let name = line[..<colon].drop { $0 == " " }
            if line.hasPrefix(" ") {
                keys.insert("\(section).\(name)")
            } else {
                section = String(name)
                if colon != line.indices.last { keys.insert(section) }
            }
        }
        #expect(keys == reader.readKeys)
    }
}
