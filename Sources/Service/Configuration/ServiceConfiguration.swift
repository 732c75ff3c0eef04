// Every setting of the server: its key, its default and its range. `Config/genrec.yaml` documents the same keys, which a
// test holds it to.

package import Devices
package import Engine
internal import Foundation
package import HTTP
package import Logging
package import Telemetry

/// The settings of a server, checked.
package struct ServiceConfiguration: Sendable {
    /// nil: the demo bundle.
    package var bundlePath: String?
    package var http: HTTPServerConfiguration
    /// The second listener, for operators; nil: the first one serves everything.
    package var adminHTTP: HTTPServerConfiguration?
    /// Path of the file of API keys; nil: callers need none.
    package var keysFile: String?
    /// The files that the TCP addresses of both listeners speak TLS with; nil: they speak plain HTTP.
    package var tls: TLSSettings?
    package var compute: ComputeSettings
    package var scheduler: SchedulerConfiguration
    /// What is kept of users from one request to the next.
    package var cache: CacheConfiguration
    /// What one request may ask for.
    package var limits: CallLimits
    /// Host names by which browsers may reach the server, beside loopback addresses and localhost; lower case.
    package var hosts: Set<String>
    /// How long the server still accepts requests once it is asked to stop, while it says that it is not ready.
    package var drainDelayNanoseconds: UInt64
    /// How long requests in flight may take after that.
    package var drainTimeoutNanoseconds: UInt64
    package var logLevel: Logger.Level
    package var logFormat: LogFormat
    /// Bytes of log lines that wait to be written; further lines are lost.
    package var logQueueBytes: Int

    /// Reads the settings from their layers: `flags` over `environment` over the file over the defaults.
    ///
    /// - Parameters:
    ///   - file: path of a YAML file; nil: none.
    ///   - flags: values by dotted key.
    /// - Throws: `ConfigurationError` naming the key; `DeviceSelectionError`; `HTTPError` for an address.
    package init(
        file: String? = nil,
        flags: [String: String] = [:],
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws {
        try self.init(ConfigurationReader(file: file, environment: environment, flags: flags))
    }

    /// Reads the settings, after which `reader` knows which keys there are.
    init(_ reader: ConfigurationReader) throws {
        bundlePath = reader.text("bundle")
        http = try Self.http(reader)
        adminHTTP = try Self.adminHTTP(reader, beside: http)
        keysFile = reader.text("auth.keys_file")
        let addresses = http.addresses + (adminHTTP?.addresses ?? [])
        tls = try TLSSettings(reader, addresses: addresses)
        compute = try Self.compute(reader)
        scheduler = try Self.scheduler(reader)
        cache = try Self.cache(reader)
        limits = try Self.limits(reader)
        hosts = try TrustedHosts.names(in: reader.text("http.hosts") ?? "")
        drainDelayNanoseconds =
            1_000_000 * UInt64(try reader.integer("drain.delay_ms", default: 0, in: 0...3_600_000))
        drainTimeoutNanoseconds =
            1_000_000 * UInt64(try reader.integer("drain.timeout_ms", default: 30_000, in: 0...3_600_000))
        logLevel = try reader.choice("log.level", default: Logger.Level.info)
        logFormat = try reader.choice("log.format", default: LogFormat.text)
        logQueueBytes = try reader.integer("log.queue_bytes", default: 4 << 20, in: 4_096...1_073_741_824)
        try reader.refuseUnknownKeys()
    }

    private static func http(_ reader: ConfigurationReader) throws -> HTTPServerConfiguration {
        var limits = HTTPLimits()
        var timeouts = HTTPTimeouts()
        let address = try ListenAddress(parsing: reader.text("http.listen") ?? "127.0.0.1:8080")
        let loops = try reader.integer("http.loops", default: 1, in: 1...256)
        func limit(_ key: String, _ path: WritableKeyPath<HTTPLimits, Int>, _ range: ClosedRange<Int>) throws {
            limits[keyPath: path] = try reader.integer("http.\(key)", default: limits[keyPath: path], in: range)
        }
        try limit("max_connections", \.connections, 1...1_048_576)
        try limit("max_connections_per_address", \.connectionsPerAddress, 1...1_048_576)
        try limit("max_request_line_bytes", \.requestLineBytes, 64...16_777_216)
        try limit("max_header_bytes", \.fieldBytes, 64...16_777_216)
        try limit("max_header_count", \.fieldCount, 1...65_536)
        try limit("max_body_bytes", \.bodyBytes, 0...1_073_741_824)
        try limit("max_inflated_body_bytes", \.inflatedBodyBytes, 0...1_073_741_824)
        try limit("max_inflation_ratio", \.inflationRatio, 1...65_536)
        try limit("max_read_ahead_bytes", \.readAheadBytes, 1...1_073_741_824)
        func timeout(_ key: String, _ path: WritableKeyPath<HTTPTimeouts, Duration>) throws {
            let fallback = Int(timeouts[keyPath: path] / .milliseconds(1))
            let milliseconds = try reader.integer("http.\(key)", default: fallback, in: 10...86_400_000)
            timeouts[keyPath: path] = .milliseconds(milliseconds)
        }
        try timeout("tls_handshake_timeout_ms", \.handshake)
        try timeout("first_byte_timeout_ms", \.firstByte)
        try timeout("header_timeout_ms", \.header)
        try timeout("body_window_ms", \.bodyWindow)
        try timeout("idle_timeout_ms", \.idle)
        try timeout("write_stall_timeout_ms", \.writeStall)
        try timeout("linger_timeout_ms", \.linger)
        timeouts.bodyBytesPerSecond = try reader.integer(
            "http.min_body_bytes_per_second",
            default: timeouts.bodyBytesPerSecond,
            in: 0...1_073_741_824
        )
        return HTTPServerConfiguration(
            addresses: [address],
            loops: loops,
            limits: limits,
            timeouts: timeouts,
            compression: try compression(reader)
        )
    }

    private static func compression(_ reader: ConfigurationReader) throws -> HTTPCompression {
        var compression = HTTPCompression()
        compression.level = try reader.integer("http.compression_level", default: compression.level, in: 0...9)
        compression.minimumBytes = try reader.integer(
            "http.compression_min_bytes",
            default: compression.minimumBytes,
            in: 0...1_073_741_824
        )
        return compression
    }

    /// The admin listener has the limits and time-outs of the callers', and one loop: operators are few.
    private static func adminHTTP(
        _ reader: ConfigurationReader,
        beside http: HTTPServerConfiguration
    ) throws -> HTTPServerConfiguration? {
        guard let text = reader.text("admin.listen") else { return nil }
        var configuration = http
        configuration.addresses = [try ListenAddress(parsing: text)]
        configuration.loops = 1
        return configuration
    }

    private static func compute(_ reader: ConfigurationReader) throws -> ComputeSettings {
        // 0 stands for "one a core" in the file, where a number has to stand.
        let threads = try reader.integer("engine.threads", default: 0, in: 0...1_024)
        var backoff = RecoveryBackoff()
        backoff.firstNanoseconds =
            1_000_000 * UInt64(try reader.integer("engine.recovery_backoff_ms", default: 1_000, in: 1...3_600_000))
        let first = Int(backoff.firstNanoseconds / 1_000_000)
        backoff.mostNanoseconds =
            1_000_000
            * UInt64(
                try reader.integer("engine.recovery_backoff_max_ms", default: max(60_000, first), in: first...3_600_000)
            )
        return try ComputeSettings(
            device: reader.text("engine.device") ?? "cpu",
            dtype: reader.text("engine.dtype") ?? "auto",
            threads: threads == 0 ? nil : threads,
            fallback: try reader.choice("engine.fallback", default: .none),
            timeoutMilliseconds: try reader.integer("engine.device_timeout_ms", default: 10_000, in: 1...3_600_000),
            backoff: backoff
        )
    }

    private static func scheduler(_ reader: ConfigurationReader) throws -> SchedulerConfiguration {
        var scheduler = SchedulerConfiguration()
        scheduler.maxQueuedRequests = try reader.integer(
            "scheduler.max_queued_requests",
            default: scheduler.maxQueuedRequests,
            in: 1...1_000_000
        )
        scheduler.maxBatchSequences = try reader.integer(
            "scheduler.max_batch_sequences",
            default: scheduler.maxBatchSequences,
            in: 1...4_096
        )
        scheduler.maxBatchEvents = try reader.integer(
            "scheduler.max_batch_events",
            default: scheduler.maxBatchEvents,
            in: 1...1_048_576
        )
        scheduler.prefillChunkEvents = try reader.integer(
            "scheduler.prefill_chunk_events",
            default: scheduler.prefillChunkEvents,
            in: 1...1_048_576
        )
        scheduler.maxQueuedNanoseconds =
            1_000_000 * UInt64(try reader.integer("scheduler.max_queued_ms", default: 30_000, in: 0...3_600_000))
        scheduler.minWaitNanoseconds =
            1_000 * UInt64(try reader.integer("scheduler.min_wait_us", default: 0, in: 0...1_000_000))
        scheduler.maxWaitNanoseconds =
            1_000 * UInt64(try reader.integer("scheduler.max_wait_us", default: 2_000, in: 0...1_000_000))
        scheduler.priorityAdvantageNanoseconds =
            1_000_000 * UInt64(try reader.integer("scheduler.priority_advantage_ms", default: 500, in: 0...60_000))
        return scheduler
    }

    private static func cache(_ reader: ConfigurationReader) throws -> CacheConfiguration {
        var cache = CacheConfiguration()
        cache.byteCount = try reader.integer("cache.bytes", default: cache.byteCount, in: 0...1_099_511_627_776)
        cache.windowStride = try reader.integer("cache.window_stride", default: 0, in: 0...65_536)
        return cache
    }

    private static func limits(_ reader: ConfigurationReader) throws -> CallLimits {
        let maxK = try reader.integer("limits.max_k", default: 1_000, in: 1...100_000)
        return CallLimits(
            defaultK: try reader.integer("limits.default_k", default: min(10, maxK), in: 1...maxK),
            maxK: maxK,
            maxHistory: try reader.integer("limits.max_history", default: 10_000, in: 1...1_000_000),
            maxListed: try reader.integer("limits.max_filter_entries", default: 10_000, in: 0...1_000_000),
            maxBatch: try reader.integer("limits.max_batch", default: 256, in: 1...4_096)
        )
    }
}
