// Streams a reply to `POST /recommend` or `POST /rank` record by record, as NDJSON or server-sent events. Generated
// items wait here as rows of eight bytes, and are encoded only as fast as the client reads.

internal import Catalogue
internal import Compute
internal import Dispatch
internal import Engine
internal import HTTP
internal import JSON
internal import Locking
internal import Models

extension RequestHandler {
    /// Answers a call with a stream. Items of a sequence are sent as they are generated, the k best items together.
    func stream(_ call: RecommendCall, _ answer: Answer, _ format: StreamFormat, _ exchange: HTTPExchange) {
        let stream = RecommendStream(
            exchange,
            format,
            requestID: answer.requestID,
            route: answer.route,
            ids: ItemWriter(
                ids: answer.model.model.catalogue,
                unknown: answer.ranking?.unknown ?? [],
                includesTokens: answer.includesTokens
            ),
            queue: longReplies,
            ended: { [self] in count($0, answer) }
        )
        var itemGenerated: Engine.ItemHandler?
        if case .sequence = call.request.mode { itemGenerated = { item, _ in stream.add(item) } }
        let ticket = submit(call, answer, itemGenerated: itemGenerated) { result in
            answer.note?.ended(result)
            switch result {
            case .success(let recommendation):
                let reply = answer.reply(recommendation)
                stream.finish(reply, reply.items, recommendation.outcome)
            case .failure(let error):
                stream.fail(error.outcome, self.response(error, answer), ProblemDetails(error, answer.requestID))
            }
        }
        // Set last, when the ticket is known. If the client has already disconnected, it is called immediately.
        exchange.onCancel {
            stream.cancel()
            if let ticket { answer.model.engines.cancel(ticket) }
        }
    }
}

/// Writes one streamed reply. The status line is sent with the first record, so that a failure before it is an ordinary
/// problem reply.
///
/// Every record is written on one serial queue, by `write`: when items arrive, and when a slow client has read enough.
final class RecommendStream: Sendable {
    /// Records are sent together up to this many bytes.
    private static let pieceBytes = 16_384

    /// How the reply ends, once known.
    private enum End {
        /// A last record, with which the outcome is counted.
        case reply(RecommendReply, RecommendOutcome)
        /// A problem: an ordinary reply if no record was sent before, otherwise a last record before the connection
        /// closes.
        case failure(RecommendOutcome, HTTPResponse, ProblemDetails)
    }

    private struct State {
        /// All items so far; `written` of them have been sent.
        var items: [ScoredRow] = []
        var written = 0
        var end: End?
        /// Whether the status line has been sent.
        var hasStarted = false
        /// Whether the client is slow. `write` is called again once it has read enough.
        var isHeld = false
        var isOver = false
    }

    private let exchange: HTTPExchange
    private let format: StreamFormat
    private let requestID: String
    private let route: Route
    private let ids: ItemWriter
    private let queue: DispatchQueue
    private let ended: @Sendable (RecommendOutcome) -> Void
    private let state = Lock(State())

    /// - Parameters:
    ///   - queue: a serial queue.
    ///   - ended: called once, with the outcome.
    init(
        _ exchange: HTTPExchange,
        _ format: StreamFormat,
        requestID: String,
        route: Route,
        ids: ItemWriter,
        queue: DispatchQueue,
        ended: @escaping @Sendable (RecommendOutcome) -> Void
    ) {
        self.exchange = exchange
        self.format = format
        self.requestID = requestID
        self.route = route
        self.ids = ids
        self.queue = queue
        self.ended = ended
    }

    /// Adds the next item. Returns immediately.
    func add(_ item: ScoredRow) {
        state.withLock { $0.items.append(item) }
        queue.async { self.write() }
    }

    /// Adds those of `items` that are missing, in order, then the last record, with which `outcome` is counted.
    func finish(_ reply: RecommendReply, _ items: [ScoredRow], _ outcome: RecommendOutcome) {
        end(with: .reply(reply, outcome), items)
    }

    /// Ends the stream for a reason that counts as `outcome`: with `response` if nothing has been sent, otherwise with
    /// `problem`.
    func fail(_ outcome: RecommendOutcome, _ response: HTTPResponse, _ problem: ProblemDetails) {
        end(with: .failure(outcome, response, problem), [])
    }

    /// Ends the stream because the client has disconnected.
    func cancel() { end(.cancelled) }

    private func end(with end: End, _ items: [ScoredRow]) {
        state.withLock { state in
            state.items += items.dropFirst(state.items.count)
            state.end = end
        }
        queue.async { self.write() }
    }

    /// Writes what is pending until the client is slow. Runs on the queue.
    private func write() {
        while let step = nextStep() {
            switch step {
            case .start: start()
            case .items(let items, let rank):
                guard send(items, firstRank: rank) else { return }
            case .end(.reply(let reply, let outcome)):
                guard end(outcome) else { return }
                _ = exchange.send(RecommendCodec.encodeStreamEnd(reply, format: format))
                exchange.finish()
            case .end(.failure(let outcome, _, let problem)):
                guard end(outcome) else { return }
                _ = exchange.send(RecommendCodec.encodeStreamError(problem, format: format))
                exchange.abort()
            case .refuse(let outcome, let response):
                guard end(outcome) else { return }
                exchange.respond(response)
            }
        }
    }

    private enum Step {
        case start
        case items(ArraySlice<ScoredRow>, firstRank: Int)
        case end(End)
        case refuse(RecommendOutcome, HTTPResponse)
    }

    private func nextStep() -> Step? {
        state.withLock { state in
            guard !state.isHeld, !state.isOver else { return nil }
            let hasItems = state.written < state.items.count
            if !state.hasStarted {
                if !hasItems, case .failure(let outcome, let response, _) = state.end {
                    return .refuse(outcome, response)
                }
                guard hasItems || state.end != nil else { return nil }
                state.hasStarted = true
                return .start
            }
            if hasItems { return .items(state.items[state.written...], firstRank: state.written + 1) }
            return state.end.map { .end($0) }
        }
    }

    /// Sends the status line.
    private func start() {
        exchange.onWritable {
            self.queue.async {
                self.state.withLock { $0.isHeld = false }
                self.write()
            }
        }
        exchange.start(
            status: 200,
            headers: [
                ("Content-Type", format.contentType), ("X-Request-Id", requestID), ("Cache-Control", "no-store"),
                // A proxy that buffers the reply would defeat the stream.
                ("X-Accel-Buffering", "no"),
            ],
            label: route.number
        )
    }

    /// Sends one piece of the items and notes how many were sent. False if the stream is over.
    private func send(_ items: ArraySlice<ScoredRow>, firstRank: Int) -> Bool {
        var piece: [UInt8] = []
        var count = 0
        do throws(JSONError) {
            for item in items {
                piece += try RecommendCodec.encodeStreamItem(
                    item,
                    rank: firstRank + count,
                    ids: ids,
                    format: format
                )
                count += 1
                if piece.count >= Self.pieceBytes { break }
            }
        } catch {
            let problem = ProblemDetails(500, "the reply cannot be written: \(error)", requestID)
            guard end(.failed) else { return false }
            _ = exchange.send(piece + RecommendCodec.encodeStreamError(problem, format: format))
            exchange.abort()
            return false
        }
        let result = exchange.send(piece)
        guard result != .closed else { return false }
        state.withLock { state in
            state.written += count
            state.isHeld = result == .holdOn
        }
        return true
    }

    /// Counts the outcome before the last record is written, so that a client that has seen the record finds it
    /// counted.
    ///
    /// - Returns: whether the caller is to write the record; false if the stream had already ended.
    @discardableResult private func end(_ outcome: RecommendOutcome) -> Bool {
        let isFirst = state.withLock { state in
            defer { state = State(isOver: true) }
            return !state.isOver
        }
        if isFirst { ended(outcome) }
        return isFirst
    }
}
