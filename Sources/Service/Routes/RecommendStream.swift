// A reply to `POST /recommend` record by record, as NDJSON or server-sent events. Items may be added as they come; they wait
// here as rows, eight bytes each, and are written only as fast as the client takes them.

internal import Compute
internal import Dispatch
internal import Engine
internal import HTTP
internal import Models
internal import Synchronization

extension RequestHandler {
    /// Answers with a stream, or with a problem where the engine has one: no status line has been sent yet.
    func stream(
        _ result: Result<Recommendation, EngineError>,
        _ answer: Answer,
        _ format: StreamFormat,
        _ exchange: HTTPExchange
    ) {
        switch result {
        case .success(let recommendation):
            let stream = RecommendStream(
                exchange,
                format,
                requestID: answer.requestID,
                ids: answer.model.bundle.catalogue,
                queue: longReplies,
                ended: { [metrics] in metrics.count($0) }
            )
            stream.start()
            stream.add(recommendation.items)
            stream.finish(answer.reply(recommendation), recommendation.outcome)
        case .failure(let error):
            exchange.respond(response(error, answer))
        }
    }
}

/// Writes one streamed reply.
///
/// Every record is written on one serial queue, by `write`: when items have come, and when a slow client has made room.
final class RecommendStream: Sendable {
    /// Records are sent together up to so many bytes.
    private static let pieceBytes = 16_384

    private struct State {
        /// Items to be written; those before `written` are.
        var items: [ScoredRow] = []
        var written = 0
        /// The reply that the last record says, once it is known, and the outcome it counts as.
        var end: (reply: RecommendReply, outcome: RecommendOutcome)?
        /// The client is slow; `write` waits to be called when it has made room.
        var isHeld = false
        var isOver = false
    }

    private let exchange: HTTPExchange
    private let format: StreamFormat
    private let requestID: String
    private let ids: any ItemIDWriter & Sendable
    private let queue: DispatchQueue
    private let ended: @Sendable (RecommendOutcome) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - queue: serial.
    ///   - ended: called once, with what became of the reply.
    init(
        _ exchange: HTTPExchange,
        _ format: StreamFormat,
        requestID: String,
        ids: any ItemIDWriter & Sendable,
        queue: DispatchQueue,
        ended: @escaping @Sendable (RecommendOutcome) -> Void
    ) {
        self.exchange = exchange
        self.format = format
        self.requestID = requestID
        self.ids = ids
        self.queue = queue
        self.ended = ended
    }

    /// Sends the status line. From here on a fault is a record, and the client's going away ends the stream.
    func start() {
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
                // A proxy that collects the reply before it passes it on would undo the stream.
                ("X-Accel-Buffering", "no"),
            ],
            label: Route.recommend.number
        )
        exchange.onCancel { self.end(.cancelled) }
    }

    /// Adds the next items, best first.
    func add(_ items: [ScoredRow]) {
        state.withLock { $0.items += items }
        queue.async { self.write() }
    }

    /// Adds the last record, which counts as `outcome` when it is sent.
    func finish(_ reply: RecommendReply, _ outcome: RecommendOutcome) {
        state.withLock { $0.end = (reply, outcome) }
        queue.async { self.write() }
    }

    /// On the queue: writes what has come, until the client is slow.
    private func write() {
        while let step = nextStep() {
            switch step {
            case .items(let items, let rank):
                guard send(items, firstRank: rank) else { return }
            case .end(let reply, let outcome):
                _ = exchange.send(RecommendCodec.encodeStreamEnd(reply, format: format))
                exchange.finish()
                end(outcome)
            }
        }
    }

    private enum Step {
        case items(ArraySlice<ScoredRow>, firstRank: Int)
        case end(RecommendReply, RecommendOutcome)
    }

    private func nextStep() -> Step? {
        state.withLock { state in
            guard !state.isHeld, !state.isOver else { return nil }
            if state.written < state.items.count {
                return .items(state.items[state.written...], firstRank: state.written + 1)
            }
            return state.end.map { .end($0.reply, $0.outcome) }
        }
    }

    /// Writes one piece of the items and notes how far it came. False if the stream is over.
    private func send(_ items: ArraySlice<ScoredRow>, firstRank: Int) -> Bool {
        var piece: [UInt8] = []
        var count = 0
        do throws(JSONError) {
            for item in items {
                piece += try RecommendCodec.encodeStreamItem(
                    row: item.row,
                    score: item.score,
                    rank: firstRank + count,
                    ids: ids,
                    format: format
                )
                count += 1
                if piece.count >= Self.pieceBytes { break }
            }
        } catch {
            let problem = ProblemDetails(500, "the reply cannot be written: \(error)", requestID)
            _ = exchange.send(piece + RecommendCodec.encodeStreamError(problem, format: format))
            exchange.abort()
            end(.failed)
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

    /// Nothing more is written.
    private func end(_ outcome: RecommendOutcome) {
        let isFirst = state.withLock { state in
            defer { state = State(isOver: true) }
            return !state.isOver
        }
        if isFirst { ended(outcome) }
    }
}
