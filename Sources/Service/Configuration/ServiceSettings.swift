// Every setting of the server, in the order of Config/genrec.yaml; a setting that depends on another follows it. To add
// one: a property of `ServiceConfiguration` with its default, an entry here, and `genrec check-config --defaults >
// Config/genrec.yaml`.

internal import Devices
internal import Engine
internal import HTTP
internal import Logging

extension ServiceConfiguration {
    static let settings: [Setting] =
        [bundleSetting] + fleetSettings + httpSettings + accessSettings + engineSettings + schedulerSettings
        + cacheSettings
        + userSettings + limitSettings + processSettings + telemetrySettings

    private static let bundleSetting = Setting.text(
        "bundle",
        \.bundlePath,
        allowed: "a directory",
        "The directory of the bundle to serve. Empty: the demo bundle, Config/demo."
    )

    private static let httpSettings: [Setting] = [
        .parsed(
            "http.listen",
            \.http.addresses,
            allowed: "HOST:PORT, [IPV6]:PORT, *:PORT or unix:PATH",
            "The address to listen on: HOST:PORT, [IPV6]:PORT, *:PORT for every interface, or unix:PATH. Port 0 picks a free port.",
            write: { $0.map(String.init(describing:)).joined() },
            read: { (text, _) throws(Setting.Refusal) in [try address(text)] }
        ),
        .parsed(
            "http.hosts",
            \.hosts,
            allowed: "host names, separated by commas",
            """
            Host names, without ports and separated by commas, by which browsers may reach the server, in addition to \
            loopback addresses and localhost. They matter only without API keys: /models, /metrics, DELETE /users and \
            /admin/* then answer only over loopback or a UNIX socket, to a Host that is one of these, and no route \
            answers a web page from another origin. See the page Security.
            """,
            write: { $0.sorted().joined(separator: ",") },
            read: { (text, _) throws(Setting.Refusal) in
                do throws(ConfigurationError) { return try TrustedHosts.names(in: text) } catch {
                    throw Setting.Refusal(" \(error.description)")
                }
            }
        ),
        .integer(
            "http.loops",
            \.http.loops,
            1...256,
            """
            Event loops, each with a thread and a share of the connections. One serves tens of thousands of requests a \
            second; leave the other cores to the engine.
            """
        ),
        .integer(
            "http.max_connections",
            \.http.limits.connections,
            1...1_048_576,
            "Open connections in total. A connection beyond it is answered with 503."
        ),
        .integer(
            "http.max_connections_per_address",
            \.http.limits.connectionsPerAddress,
            1...1_048_576,
            """
            Open connections of one IPv4 address or IPv6 /64. A connection beyond it is answered with 503. Behind a load \
            balancer all clients share one address.
            """
        ),
        .integer(
            "http.max_request_line_bytes",
            \.http.limits.requestLineBytes,
            64...16_777_216,
            "Bytes of the request line. More: 414."
        ),
        .integer(
            "http.max_header_bytes",
            \.http.limits.fieldBytes,
            64...16_777_216,
            "Bytes of all header fields of a request. More: 431."
        ),
        .integer(
            "http.max_header_count",
            \.http.limits.fieldCount,
            1...65_536,
            "Header fields of a request. More: 431."
        ),
        .integer(
            "http.max_body_bytes",
            \.http.limits.bodyBytes,
            0...1_073_741_824,
            "Bytes of a request's body as sent. More: 413."
        ),
        .integer(
            "http.max_inflated_body_bytes",
            \.http.limits.inflatedBodyBytes,
            0...1_073_741_824,
            "Bytes of a body with Content-Encoding: gzip after inflation. It is inflated as it arrives. More: 413."
        ),
        .integer(
            "http.max_inflation_ratio",
            \.http.limits.inflationRatio,
            1...65_536,
            "Ratio of a gzip body's inflated size to its size as sent, beyond the first 64 KiB. More: 413."
        ),
        .integer(
            "http.max_read_ahead_bytes",
            \.http.limits.readAheadBytes,
            1...1_073_741_824,
            "Bytes of pipelined requests that are read while an earlier one is being answered."
        ),
        .integer(
            "http.tls_handshake_timeout_ms",
            \.http.timeouts.handshake.inMilliseconds,
            10...86_400_000,
            "Time from accepting a connection to the end of its TLS handshake."
        ),
        .integer(
            "http.first_byte_timeout_ms",
            \.http.timeouts.firstByte.inMilliseconds,
            10...86_400_000,
            "Time from accepting a connection, or from the end of its TLS handshake, to its first byte."
        ),
        .integer(
            "http.header_timeout_ms",
            \.http.timeouts.header.inMilliseconds,
            10...86_400_000,
            "Time from the first byte of a request to the end of its header. Longer: 408."
        ),
        .integer(
            "http.body_window_ms",
            \.http.timeouts.bodyWindow.inMilliseconds,
            10...86_400_000,
            "The window over which min_body_bytes_per_second is measured."
        ),
        .integer(
            "http.min_body_bytes_per_second",
            \.http.timeouts.bodyBytesPerSecond,
            0...1_073_741_824,
            "The lowest rate at which a body may arrive. Slower: 408."
        ),
        .integer(
            "http.idle_timeout_ms",
            \.http.timeouts.idle.inMilliseconds,
            10...86_400_000,
            "Time between two requests on a connection before it is closed."
        ),
        .integer(
            "http.write_stall_timeout_ms",
            \.http.timeouts.writeStall.inMilliseconds,
            10...86_400_000,
            "Time without progress in sending a reply before the connection is cut."
        ),
        .integer(
            "http.linger_timeout_ms",
            \.http.timeouts.linger.inMilliseconds,
            10...86_400_000,
            "How long a closing connection is still read, so that the client sees the reply instead of a reset."
        ),
        .integer(
            "http.compression_level",
            \.http.compression.level,
            0...9,
            "zlib's level for replies to clients that accept gzip: 1 (fast) to 9 (small). 0: replies are not compressed."
        ),
        .integer(
            "http.compression_min_bytes",
            \.http.compression.minimumBytes,
            0...1_073_741_824,
            "Whole replies of fewer bytes are not compressed."
        ),
    ]

    /// The sections `admin`, `auth` and `tls`.
    private static let accessSettings: [Setting] = [
        .parsed(
            "admin.listen",
            \.adminAddress,
            allowed: "as http.listen",
            """
            A second listener for operators, written like http.listen. /admin/*, /metrics and DELETE /users are then \
            served only here. Empty: no second listener. It has the limits and time-outs of the http section, and TLS \
            unless it is a UNIX socket.
            """,
            write: { $0.map(String.init(describing:)) ?? "" },
            read: { (text, _) throws(Setting.Refusal) in try address(text) }
        ),
        .text(
            "auth.keys_file",
            \.keysFile,
            allowed: "a file",
            """
            A file with one line per API key: the SHA-256 of the key as 64 hexadecimal digits, and a role.
              recommend   POST /recommend and /recommend/batch
              admin       these, and /models, /metrics, DELETE /users and /admin/*
            Lines that start with # are comments. `printf %s "$KEY" | sha256sum` prints the digest of a key. The file \
            is reread on SIGHUP; if it is unusable, an error is logged and the old keys stay. Health, / and \
            /openapi.json need no key. Empty: no keys; operators' routes then answer only on this machine (see \
            http.hosts).
            """
        ),
        .text(
            "tls.certificate",
            \.tlsCertificate,
            allowed: "a PEM file",
            """
            A PEM file with the server's certificate followed by the intermediate ones. With certificate and key set, \
            the TCP addresses of http.listen and admin.listen speak HTTPS only (TLS 1.2 and 1.3, HTTP/1.1); UNIX \
            sockets always speak plain HTTP. Both files are reread on SIGHUP and when they change, for new \
            connections; an unusable pair is logged, and the old one stays. Empty: plain HTTP.
            """
        ).checked {
            if $0.tlsKey == nil { return " is set, so tls.key must be set, too" }
            let hasTCP = ($0.http.addresses + [$0.adminAddress].compactMap(\.self)).contains(where: \.isTCP)
            return hasTCP ? nil : " is set, but there is no TCP address, and UNIX sockets have no TLS"
        },
        .text(
            "tls.key",
            \.tlsKey,
            allowed: "a PEM file",
            """
            A PEM file with the certificate's private key, not encrypted. With an ECDSA key (P-256) a handshake costs far \
            less than with RSA.
            """
        ).checked { $0.tlsCertificate == nil ? " is set, so tls.certificate must be set, too" : nil },
        .text(
            "tls.client_ca",
            \.tlsClientCA,
            allowed: "a PEM file",
            """
            A PEM file of CA certificates. Every client must then present a certificate from one of them. Empty: clients \
            need none.
            """
        ).checked { $0.tlsCertificate == nil ? " is set, so tls.certificate must be set, too" : nil },
        .integer(
            "tls.session_lifetime_s",
            \.tlsSessionLifetimeSeconds,
            TLSCredentials.ticketLifetimeSeconds,
            """
            How long a client can resume its session with a ticket. The key of the tickets is replaced at this interval; \
            the previous key is accepted for one more.
            """
        ),
    ]

    private static let schedulerSettings: [Setting] = [
        .integer(
            "scheduler.max_queued_requests",
            \.scheduler.maxQueuedRequests,
            1...1_000_000,
            "Requests that may wait. One more is refused with 429."
        ),
        .integer(
            "scheduler.max_queued_ms",
            \.scheduler.maxQueuedNanoseconds.inMilliseconds,
            0...3_600_000,
            """
            Predicted compute time of all waiting requests. A request beyond it is refused with 429, unless nothing \
            waits. 0: no limit.
            """
        ),
        .integer(
            "scheduler.max_batch_sequences",
            \.scheduler.maxBatchSequences,
            1...4_096,
            "Requests in one batch."
        ),
        .integer(
            "scheduler.max_batch_events",
            \.scheduler.maxBatchEvents,
            1...1_048_576,
            "Events of all histories in one batch. A single longer history still runs, alone."
        ),
        .integer(
            "scheduler.prefill_chunk_events",
            \.scheduler.prefillChunkEvents,
            1...1_048_576,
            """
            Events in one batch of histories that can be computed in parts, which needs cached rows (see cache). A \
            longer history takes several batches, and a step of a generated sequence never waits for more than one of \
            them. Beyond 512 events, a batch has only as many as are predicted to take 5 ms.
            """
        ),
        .integer(
            "scheduler.min_wait_us",
            \.scheduler.minWaitNanoseconds.inMicroseconds,
            0...1_000_000,
            "The minimum time that an idle engine waits for more requests to join a batch."
        ),
        .integer(
            "scheduler.max_wait_us",
            \.scheduler.maxWaitNanoseconds.inMicroseconds,
            0...1_000_000,
            """
            The maximum additional wait. The engine waits only while that pays off, given the fixed cost of a batch \
            and the request rate. With min_wait_us and max_wait_us at 0 it starts immediately.
            """
        ),
        .integer(
            "scheduler.priority_advantage_ms",
            \.scheduler.priorityAdvantageNanoseconds.inMilliseconds,
            0...60_000,
            """
            How much later a request counts as due for each level of priority below high. Within a level the earliest \
            deadline goes first. A request without a deadline, or with a distant one, counts as due this long plus \
            twice its predicted compute time after its arrival, at most twice this long. No request starves: one that \
            arrives four times this long after another never goes before it.
            """
        ),
    ]

    private static let cacheSettings: [Setting] = [
        .integer(
            "cache.bytes",
            \.cache.byteCount,
            0...1_099_511_627_776,
            """
            Memory on each device for the keys and values of users' histories, so that a returning user costs only the \
            new events. All models of a CPU device share it; on an NPU each has this much. Memory is allocated as \
            needed. 0: no cache. /models reports the bytes per event, and whether the model supports it.
            """
        ),
        .integer(
            "cache.window_stride",
            \.cache.windowStride,
            0...65_536,
            """
            0: a history longer than the window is cut to its newest events; the window moves with every event, so \
            nothing cached of such a user can be reused. Otherwise the window starts at a multiple of this number, \
            uses between window - window_stride + 1 and window events, and is fully recomputed only once per that many \
            events. It changes what the model sees; replies then have history_start.
            """
        ),
    ]

    private static let limitSettings: [Setting] = [
        .choice(
            "recommend.fallback",
            \.limits.fallback,
            """
            What requests without fallback get instead of 429, 504 or the 503 of a failed device or unavailable user \
            store. none: that status. popularity: the most popular items under the same filters, with the reason in \
            degraded; it costs no device time.
            """
        ),
        .integer("limits.max_k", \.limits.maxK, 1...100_000, "The largest k of a request."),
        .integer(
            "limits.default_k",
            \.limits.defaultK,
            1...100_000,
            below: { $0.limits.maxK },
            "The k of a request that names none; at most max_k."
        ).after("limits.max_k"),
        .integer(
            "limits.max_history",
            \.limits.maxHistory,
            1...1_000_000,
            "Events of one history. The model uses the newest of them, as many as its window holds."
        ),
        .integer(
            "limits.max_filter_entries",
            \.limits.maxListed,
            0...1_000_000,
            "Entries of each list in exclude and allow."
        ),
        .integer(
            "limits.max_batch",
            \.limits.maxBatch,
            1...4_096,
            "Requests in one POST /recommend/batch or /rank/batch."
        ),
        .integer("limits.max_candidates", \.limits.maxCandidates, 1...65_536, "Candidates in one POST /rank."),
        .integer("limits.max_beams", \.limits.maxBeams, 1...65_536, "Width of a search over semantic ids."),
    ]

    /// The sections `drain` and `log`.
    private static let processSettings: [Setting] = [
        .integer(
            "drain.delay_ms",
            \.drainDelayNanoseconds.inMilliseconds,
            0...3_600_000,
            """
            How long requests are still accepted after SIGTERM, while readiness answers 503 and replies say \
            Connection: close, so that balancers stop sending first. Behind a balancer, set it to more than its health \
            checks take to notice. A second signal skips it. 0: listeners close immediately.
            """
        ),
        .integer(
            "drain.timeout_ms",
            \.drainTimeoutNanoseconds.inMilliseconds,
            0...3_600_000,
            "Grace period for requests in flight after drain.delay_ms."
        ),
        .choice(
            "log.level",
            \.logLevel,
            "trace, debug, info, notice, warning, error or critical. debug logs every request."
        ),
        .choice("log.format", \.logFormat, "text or json. Either way a record is one line on standard error."),
        .integer(
            "log.queue_bytes",
            \.logQueueBytes,
            4_096...1_073_741_824,
            """
            Bytes of log lines that wait to be written. When standard error is slower than the log, further lines are \
            dropped and counted (genrec_log_dropped_total); no request ever waits for the log.
            """
        ),
    ]

    private static func address(_ text: String) throws(Setting.Refusal) -> ListenAddress {
        do throws(HTTPError) { return try ListenAddress(parsing: text) } catch {
            throw Setting.Refusal(": \(error.message)")
        }
    }
}

extension UInt64 {
    /// Nanoseconds converted to a coarser unit.
    fileprivate var inMilliseconds: Int {
        get { Int(self / 1_000_000) }
        set { self = UInt64(newValue) * 1_000_000 }
    }

    fileprivate var inMicroseconds: Int {
        get { Int(self / 1_000) }
        set { self = UInt64(newValue) * 1_000 }
    }
}

extension Duration {
    fileprivate var inMilliseconds: Int {
        get { Int(self / .milliseconds(1)) }
        set { self = .milliseconds(newValue) }
    }
}
