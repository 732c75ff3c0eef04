// Settings: their ranges and layers, and their documentation in Config/genrec.yaml.

import Devices
import Engine
import Foundation
import HTTP
import Testing

@testable import Service

@Suite struct ServiceConfigurationTests {
    /// The sentence with which settings are refused; nil: they are accepted.
    private static func refusal(_ flags: [String: String], file: String? = nil) -> String? {
        do {
            _ = try ServiceConfiguration(file: file, flags: flags, environment: [:])
            return nil
        } catch {
            return String(describing: error)
        }
    }

    /// Calls `body` with the path of a file with this text.
    private static func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString).yaml")
            .path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    /// The test reads keys, bounds and units from the declaration, and checks that they are enforced.
    @Test(arguments: ServiceConfiguration.settings.filter { $0.allowed.contains(" to ") && $0.key != "engine.threads" })
    func number_IsTakenAtItsBounds_AndRefusedBeyondThem(setting: Setting) throws {
        let bounds = setting.allowed.components(separatedBy: " to ").compactMap { Int($0) }
        try #require(bounds.count == 2)
        // The two bounds that depend on another setting.
        let low = setting.key == "engine.recovery_backoff_max_ms" ? 1_000 : bounds[0]
        let high = setting.key == "limits.default_k" ? 1_000 : bounds[1]
        for good in [low, high] {
            let configuration = try ServiceConfiguration(flags: [setting.key: "\(good)"], environment: [:])
            #expect(setting.text(configuration) == "\(good)")
        }
        for wrong in ["\(low - 1)", "\(high + 1)", "many", "1.5", "99999999999999999999", " 1"] {
            let sentence = "\(setting.key) must be a whole number from \(low) to \(high), not '\(wrong)'"
            #expect(Self.refusal([setting.key: wrong]) == sentence)
        }
    }

    /// Units and ranges of a few settings, against the contract instead of the declaration.
    @Test func units_AreThoseOfTheNames() throws {
        let configuration = try ServiceConfiguration(
            flags: [
                "http.idle_timeout_ms": "1500", "scheduler.max_wait_us": "7", "scheduler.max_queued_ms": "8",
                "drain.delay_ms": "9", "engine.recovery_backoff_ms": "10", "tls.session_lifetime_s": "61",
                "cache.bytes": "1099511627776",
            ],
            environment: [:]
        )
        #expect(configuration.http.timeouts.idle == .milliseconds(1_500))
        #expect(configuration.scheduler.maxWaitNanoseconds == 7_000)
        #expect(configuration.scheduler.maxQueuedNanoseconds == 8_000_000)
        #expect(configuration.drainDelayNanoseconds == 9_000_000)
        #expect(configuration.compute.backoff.firstNanoseconds == 10_000_000)
        #expect(configuration.tlsSessionLifetimeSeconds == 61 && configuration.cache.byteCount == 1 << 40)
    }

    @Test func defaults_AreWithinTheirRanges() throws {
        let defaults = ServiceConfiguration()
        let flags = Dictionary(uniqueKeysWithValues: ServiceConfiguration.settings.map { ($0.key, $0.text(defaults)) })
        _ = try ServiceConfiguration(flags: flags, environment: [:])
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
            ("ascend:1,ascend:1", "ascend:1 is named twice"), ("cpu,ascend:0", "the cpu cannot be combined"),
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

    @Test func unknownKeyOfTheFile_IsRefusedWithItsPlace_AndTheNearestName() throws {
        for (text, sentence) in [
            (
                "limits:\n  max_bach: 3\n",
                "2:3: there is no setting 'limits.max_bach'; did you mean 'limits.max_batch'?"
            ),
            ("auth:\n  keys: x\n", "2:3: there is no setting 'auth.keys'; did you mean 'auth.keys_file'?"),
            ("unheard: of\n", "1:1: there is no setting 'unheard'"),
            ("http: 3\n", "1:1: 'http' is a section: put its settings on indented lines of their own"),
        ] {
            try Self.withFile(text) { #expect(Self.refusal([:], file: $0) == "\($0):\(sentence)") }
        }
    }

    @Test func everyFault_IsReported_WithThePlaceOfItsLayer() throws {
        let text =
            "http:\n  loops: 0\n  listen: nowhere\nlog: {level: loud, formt: json}\nlimits:\n  max_k: x\n  default_k: 11\n"
        try Self.withFile(text) { file in
            let error = try #require(throws: ConfigurationFaults.self) {
                try ServiceConfiguration(
                    file: file,
                    flags: ["engine.device": "gpu", "engine.dtype": "f16", "drain.delay_ms": "-1"],
                    environment: [
                        "GENREC_CACHE_BYTES": "much", "GENREC_HTTP_LOOP": "1", "GENREC_SERVICE_HOST": "10.0.0.1",
                        "GENREC_HTTP_PORT": "tcp://10.0.0.1:80", "GENREC_COMMIT": "abc", "OTHER": "x",
                    ]
                )
            }
            #expect(
                error.faults.map(\.description) == [
                    "\(file):4:20: there is no setting 'log.formt'; did you mean 'log.format'?",
                    "no setting has the environment variable GENREC_HTTP_LOOP; did you mean GENREC_HTTP_LOOPS?",
                    "\(file):3:11: http.listen: The address \"nowhere\" is neither host:port nor unix:path.",
                    "\(file):2:10: http.loops must be a whole number from 1 to 256, not '0'",
                    "--device: engine.device: there is no device 'gpu'; use cpu or ascend:N",
                    "GENREC_CACHE_BYTES: cache.bytes must be a whole number from 0 to 1099511627776, not 'much'",
                    "\(file):6:10: limits.max_k must be a whole number from 1 to 100000, not 'x'",
                    "drain.delay_ms must be a whole number from 0 to 3600000, not '-1'",
                    "\(file):4:14: log.level must be one of trace, debug, info, notice, warning, error, critical, not 'loud'",
                ]
            )
            #expect(error.description == "\(error.faults[0]) (and 8 more; `genrec check-config` lists them)")
        }
    }

    @Test(arguments: [
        ("- a\n", "must be a mapping of settings, each with a single value"), ("just text\n", "must be a mapping"),
        ("http:\n  loops: [1, 2]\n", ":2:10: 'http.loops' must be a single value"),
        ("http:\n\tloops: 1\n", ":2:1: not valid YAML: found character that cannot start any token"),
        ("http:\n  loops: 1\n  loops: 2\n", "loops occurs twice"), ("log: {level: 'info\n", "not valid YAML"),
        ("? [a]\n: 1\n", "is not text"), ("\u{0}", "not valid YAML"),
        ("a: &a [1,1]\nb: &b [*a,*a]\n", "'a' must be a single value"),
        (String(repeating: "[", count: 100_000), "bytes"),
        (String(repeating: "[\n", count: 100_000), "brackets"),
        (
            (0..<999).map { String(repeating: " ", count: $0) + "a:\n" }.joined() + String(repeating: " ", count: 999)
                + "b: 1\n", "bytes"
        ),
        (String(repeating: "- ", count: 499) + "a", "must be a mapping"),
    ])
    func fileThatIsNoSettings_IsRefusedByItsPlace(text: String, part: String) throws {
        try Self.withFile(text) { #expect(Self.refusal([:], file: $0)?.contains(part) == true) }
    }

    /// Some twenty lines of aliases expand to more values than fit into memory.
    @Test func aliases_AreFollowedToALimit() throws {
        var text = "a0: &a0 {x: 1}\n"
        for index in 1...25 { text += "a\(index): &a\(index) {x: *a\(index - 1), y: *a\(index - 1)}\n" }
        try Self.withFile(text) { #expect(Self.refusal([:], file: $0)?.contains("more than 10000 values") == true) }
    }

    @Test func emptyFile_LeavesTheDefaults() throws {
        for text in ["", "# nothing\n", "http:\nlog: {}\n", "bundle: \"\"\n"] {
            try Self.withFile(text) { #expect(Self.refusal([:], file: $0) == nil) }
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

    @Test(arguments: [
        ("Config/genrec.yaml", ServiceConfiguration.defaultsAsYAML, "--defaults"),
        ("Sources/Service/Service.docc/Settings.md", ServiceConfiguration.settingsPage, "--page"),
    ])
    func document_FollowsTheDeclarations(path: String, text: String, option: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let written = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        #expect(written == text, "genrec check-config \(option) > \(path)")
    }

    @Test func fileOfDefaults_IsRead() throws {
        try Self.withFile(ServiceConfiguration.defaultsAsYAML) { file in
            let read = try ServiceConfiguration(file: file, environment: [:])
            let defaults = ServiceConfiguration()
            for setting in ServiceConfiguration.settings { #expect(setting.text(read) == setting.text(defaults)) }
        }
    }
}
