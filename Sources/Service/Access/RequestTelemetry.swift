// Writes each request's access log line and, if its trace is recorded, its spans.

internal import Engine
internal import Foundation
internal import Glibc
internal import HTTP
internal import Logging
internal import Telemetry

/// Observes requests for the log and for traces. Without either, and without a caller's trace, it only reads the head.
final class RequestTelemetry: Sendable {
    private let access: AccessLog?
    private let exporter: SpanExporter?
    private let sampler: TraceSampler
    private let unrecorded: UnrecordedTraces
    /// Whether TCP connections speak TLS.
    private let isEncrypted: Bool
    /// Random per process, so that a user cannot be found in the log of another run.
    private let userKey = (UInt64.random(in: .min ... .max), UInt64.random(in: .min ... .max))
    private let logger: Logger

    /// - Parameters:
    ///   - settings: what to write, and where.
    ///   - sink: the server log's sink, for an access log without a file.
    /// - Throws: `ServerError` if the access log's file cannot be opened.
    init(
        _ settings: TelemetrySettings,
        queueBytes: Int,
        isEncrypted: Bool,
        sink: LogSink,
        metrics: MetricRegistry,
        logger: Logger
    ) throws(ServerError) {
        self.isEncrypted = isEncrypted
        self.logger = logger
        sampler = TraceSampler(share: settings.traceShare)
        unrecorded = UnrecordedTraces(sampler)
        access = try Self.accessLog(settings, queueBytes: queueBytes, sink: sink, metrics: metrics)
        exporter = settings.collector.map { endpoint in
            SpanExporter(endpoint: endpoint, resource: Self.resource, version: BuildInfo.version) { fault in
                if let fault {
                    logger.warning(
                        "the collector does not accept spans",
                        metadata: ["telemetry.endpoint": "\(endpoint)", "error": "\(fault)"]
                    )
                } else {
                    logger.notice("the collector accepts spans again", metadata: ["telemetry.endpoint": "\(endpoint)"])
                }
            }
        }
        exporter?.register(in: metrics)
    }

    private static func accessLog(
        _ settings: TelemetrySettings,
        queueBytes: Int,
        sink: LogSink,
        metrics: MetricRegistry
    ) throws(ServerError) -> AccessLog? {
        guard settings.accessFormat != .off else { return nil }
        guard let path = settings.accessFile else {
            return AccessLog(format: settings.accessFormat, share: settings.accessShare, sink: sink)
        }
        let format: LogFormat = settings.accessFormat == .json ? .json : .text
        guard let file = LogSink(path: path, format: format, queueBytes: queueBytes) else {
            throw ServerError(
                description: "log.access_file: \(path) cannot be opened: \(String(cString: strerror(errno)))"
            )
        }
        file.register(in: metrics, name: "genrec_access_log_dropped_total")
        return AccessLog(format: settings.accessFormat, share: settings.accessShare, sink: file)
    }

    private static var resource: [(key: StaticString, value: TraceSpan.Value)] {
        [
            ("service.name", .text("genrec")), ("service.version", .text(BuildInfo.version)),
            ("service.instance.id", .text(UUID().uuidString.lowercased())),
            ("host.name", .text(ProcessInfo.processInfo.hostName)), ("process.pid", .integer(Int(getpid()))),
        ]
    }

    /// The note of a request; nil if it is neither logged nor traced.
    func note(for head: HTTPRequestHead, _ requestIDs: RequestIDs) -> (any HTTPNote)? {
        guard let parent = head.header("traceparent") else {
            guard exporter != nil else {
                return access == nil ? nil : RequestNote(head, requestID: requestIDs.id(for: head), trace: nil)
            }
            // Nearly every request takes this path where only traces are sampled: it costs one random number.
            guard access != nil else {
                guard let trace = sampler.beginRecorded() else { return unrecorded }
                return RequestNote(head, requestID: requestIDs.id(for: head), trace: trace)
            }
            return RequestNote(head, requestID: requestIDs.id(for: head), trace: sampler.begin())
        }
        var trace: TraceContext?
        // Two parents contradict each other, so neither is used.
        if head.headers("traceparent").count == 1 {
            trace = TraceContext(traceparent: parent, tracestate: head.combinedHeader("tracestate"))
        }
        if trace == nil, exporter != nil { trace = sampler.begin() }
        let isRecorded = exporter != nil && trace?.isSampled == true
        guard access != nil || isRecorded else { return trace.map(UnrecordedTrace.init) }
        return RequestNote(head, requestID: requestIDs.id(for: head), trace: trace)
    }

    /// Logs and traces a finished reply.
    func ended(_ record: ReplyRecord) {
        guard access != nil || exporter != nil else { return }
        let note = record.note as? RequestNote
        // Without a note there is nothing to trace.
        guard access != nil || note != nil, note?.take() ?? true else { return }
        write(
            AccessEntry(
                route: Route(number: record.label),
                method: record.method,
                status: record.status,
                byteCount: record.byteCount,
                durationNanoseconds: record.durationNanoseconds,
                note: note,
                answer: note?.answer
            )
        )
    }

    /// Logs and traces a request whose client disconnected before the reply was complete, with the time until then.
    func cancelled(_ note: (any HTTPNote)?, nanoseconds: UInt64) {
        guard let note = note as? RequestNote, note.take() else { return }
        var answer = note.answer ?? RequestNote.Answer(outcome: .cancelled)
        answer.outcome = .cancelled
        write(
            AccessEntry(
                route: note.route,
                method: note.method,
                status: 499,
                byteCount: 0,
                durationNanoseconds: nanoseconds,
                note: note,
                answer: answer
            )
        )
    }

    private func write(_ entry: borrowing AccessEntry) {
        access?.write(entry)
        guard let exporter, let note = entry.note, let trace = note.trace, trace.isSampled else { return }
        exporter.export(Self.spans(of: entry, note, trace, isEncrypted: isEncrypted, end: Self.unixNanoseconds()))
    }

    /// A keyed hash of a user's id. `Hasher` is SipHash.
    func hash(ofUser user: String) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(userKey.0)
        hasher.combine(userKey.1)
        hasher.combine(user)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    /// Reopens the access log's file.
    func reopenFiles() {
        guard let code = access?.sink.reopen(), code != 0 else { return }
        logger.error(
            "the access log file cannot be reopened; the old one stays in use",
            metadata: ["errno": "\(code)"]
        )
    }

    /// Writes and sends what is queued, for at most one second each.
    func flush() {
        access?.sink.flush(timeout: .seconds(1))
        exporter?.flush(timeout: .seconds(1))
    }

    private static func unixNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

extension RequestTelemetry {
    /// The server's span, and spans of the queue, prefill, decode and encoding the reply. Attributes have the names of
    /// OpenTelemetry's semantic conventions for HTTP servers.
    static func spans(
        of entry: borrowing AccessEntry,
        _ note: RequestNote,
        _ trace: TraceContext,
        isEncrypted: Bool,
        end: UInt64
    ) -> [TraceSpan] {
        let start = end - min(end, entry.durationNanoseconds)
        let method = note.method.description
        var attributes: [(key: StaticString, value: TraceSpan.Value)] = [
            ("http.request.method", .text(method)),
            ("url.scheme", .text(isEncrypted && note.client != .local ? "https" : "http")),
            ("http.response.status_code", .integer(entry.status)),
            ("network.protocol.version", .text(note.isVersion10 ? "1.0" : "1.1")),
            ("client.address", .text(note.client.hostText)),
            ("genrec.request_id", .text(note.requestID)),
        ]
        if entry.route != .none {
            attributes.append(("http.route", .text(entry.route.label)))
            // The template instead of the path, which may name a user.
            attributes.append(("url.path", .text(entry.route.label)))
        }
        if entry.status >= 500 { attributes.append(("error.type", .text(String(entry.status)))) }
        let question = note.question
        if let question {
            attributes.append(("genrec.model.name", .text(question.model.name.name)))
            attributes.append(("genrec.model.version", .text(question.model.name.version)))
        }
        if let outcome = entry.answer?.outcome { attributes.append(("genrec.outcome", .text(outcome.rawValue))) }
        if let question {
            attributes.append(("genrec.k", .integer(question.k)))
            attributes.append(("genrec.history.events", .integer(question.history)))
        }
        if let cached = entry.answer?.cached { attributes.append(("genrec.history.cached", .integer(cached))) }
        var spans = [
            TraceSpan(
                server: trace,
                name: entry.route == .none ? method : "\(method) \(entry.route.label)",
                start: start,
                end: end,
                attributes: attributes,
                fault: entry.status >= 500 ? "status \(entry.status)" : nil
            )
        ]
        func part(_ name: String, _ from: UInt64, _ until: UInt64) {
            guard until > from else { return }
            spans.append(TraceSpan(part: name, of: trace, start: min(end, start + from), end: min(end, start + until)))
        }
        if let timing = entry.answer?.timing {
            part("queue", 0, timing.queue)
            part("prefill", timing.queue, timing.queue + timing.prefill)
            part("decode", timing.queue + timing.prefill, timing.queue + timing.prefill + timing.decode)
        }
        if let encoding = note.encoding { part("encode", encoding.lowerBound, encoding.upperBound) }
        return spans
    }
}
