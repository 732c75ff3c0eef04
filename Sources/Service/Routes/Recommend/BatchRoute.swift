// `POST /recommend/batch` and `POST /rank/batch`: many calls in one body, each answered as if sent alone. One reply has
// all answers in order.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import HTTP
internal import JSON
internal import Locking
internal import Models
internal import Users

extension RouteDeclaration {
    static let batch = RouteDeclaration(
        "/recommend/batch",
        .callers,
        .batch("BatchRequest", id: "recommendBatch", reply: "BatchReply") {
            $0.recommendBatch($1, .batch, asks: .recommend, $2)
        }
    ) {
        [
            ("BatchRequest", $0.batchRequest(of: "RecommendRequest")),
            ("BatchReply", $0.batchReply(of: "RecommendReply")),
        ]
    }

    static let rankBatch = RouteDeclaration(
        "/rank/batch",
        .callers,
        .batch("RankBatchRequest", id: "rankBatch", reply: "RankBatchReply") {
            $0.recommendBatch($1, .rankBatch, asks: .rank, $2)
        }
    ) {
        [("RankBatchRequest", $0.batchRequest(of: "RankRequest")), ("RankBatchReply", $0.batchReply(of: "RankReply"))]
    }
}

extension RouteOperation {
    fileprivate static func batch(
        _ schema: String,
        id: String,
        reply: String,
        answer: @escaping @Sendable (RequestHandler, HTTPRequest, HTTPExchange) -> Void
    ) -> RouteOperation {
        RouteOperation(
            [.post],
            .batch(schema),
            id: id,
            summary: """
                Several requests at once. Each is answered as if it were sent alone, by a reply or a problem in its \
                place; one with an invalid value does not affect the others. X-Deadline-Ms applies to each of them.
                """,
            parameters: [.deadline],
            replies: [.json("One result per request, in the same order.", reply)],
            problems: [404, 411, 415, 422, 500],
            answer: answer
        )
    }
}

extension RequestHandler {
    /// Decodes the batch and submits its requests, off the loop: a body may have megabytes.
    func recommendBatch(
        _ request: HTTPRequest,
        _ route: Route,
        asks question: RecommendCodec.Question,
        _ exchange: HTTPExchange
    ) {
        batches.async { self.submitBatch(request, route, question, exchange) }
    }

    private func submitBatch(
        _ request: HTTPRequest,
        _ route: Route,
        _ question: RecommendCodec.Question,
        _ exchange: HTTPExchange
    ) {
        guard !exchange.isCancelled else { return }
        let requestID = requestIDs.id(for: request.head)
        let calls: [Result<RecommendCall, CallError>]
        /// The models of the calls that can be answered, in order.
        let models: [ServedModel]
        let milliseconds: Int?
        do throws(CallError) {
            milliseconds = try deadline(request.head)
            var source = try source(requestID)
            calls = try codec.decodeBatch(
                request.body,
                as: question,
                from: &source,
                arrival: Arrival(request)
            )
            models = source.models
        } catch {
            metrics.count(.invalid)
            exchange.respond(problem(error.status, error.detail, route, requestID))
            return
        }
        var next = models.makeIterator()
        let answering = calls.map { call -> ServedModel? in if case .success = call { next.next() } else { nil } }
        let collector = BatchCollector(count: calls.count) { results in
            self.batches.async { exchange.respond(self.batchResponse(results, answering, route, requestID)) }
        }
        exchange.onCancel { [metrics, engines = fleet.engines] in
            for ticket in collector.cancel() where engines.cancel(ticket) { metrics.count(.cancelled) }
        }
        for (index, result) in calls.enumerated() {
            if collector.isCancelled { return }
            let call: RecommendCall
            do throws(CallError) {
                call = try batchable(result, within: milliseconds)
                try call.check(answering[index]?.model.paths)
            } catch {
                metrics.count(.invalid)
                collector.put(.problem(ProblemDetails(error.status, error.detail, requestID)), at: index)
                continue
            }
            guard let model = answering[index] else { continue }
            withHistory(call, model) { [self] result in
                let call: RecommendCall
                do throws(UserStoreError) {
                    call = try result.get()
                } catch {
                    metrics.count(.failed)
                    let problem = ProblemDetails(error.status, error.description, requestID)
                    collector.put(.problem(problem), at: index)
                    return
                }
                let answer = Answer(model, requestID, route, call)
                let ticket = submit(call, answer) { collector.put(self.batchResult($0, answer), at: index) }
                if let ticket, !collector.keep(ticket), model.engines.cancel(ticket) { metrics.count(.cancelled) }
            }
        }
    }

    private func batchable(
        _ result: Result<RecommendCall, CallError>,
        within milliseconds: Int?
    ) throws(CallError) -> RecommendCall {
        var call = try result.get()
        guard !call.stream else { throw CallError(.unusable, "stream must be false in a batch") }
        if let milliseconds { call.request.limit(toMilliseconds: milliseconds) }
        return call
    }

    /// The result of one request; its outcome is counted.
    private func batchResult(_ result: Result<Recommendation, EngineError>, _ answer: Answer) -> BatchResult {
        switch result {
        case .success(let recommendation):
            count(recommendation.outcome, answer)
            return .reply(answer.reply(recommendation))
        case .failure(let error):
            count(error.outcome, answer)
            return .problem(ProblemDetails(error, answer.requestID))
        }
    }

    private func batchResponse(
        _ results: [BatchResult],
        _ models: [ServedModel?],
        _ route: Route,
        _ requestID: String
    ) -> HTTPResponse {
        guard let fallback = models.lazy.compactMap({ $0 }).first?.model.catalogue else {
            let problems = results.compactMap { result -> ProblemDetails? in
                if case .problem(let problem) = result { problem } else { nil }
            }
            return json(200, RecommendCodec.encodeBatch(problems), route, requestID)
        }
        do throws(JSONError) {
            return json(
                200,
                try RecommendCodec.encodeBatch(results) { models[$0]?.model.catalogue ?? fallback },
                route,
                requestID
            )
        } catch {
            return problem(500, "the reply cannot be written: \(error)", route, requestID)
        }
    }
}

/// Collects the results of a batch, which arrive on any thread in any order.
final class BatchCollector: Sendable {
    private struct State {
        var results: [BatchResult?]
        var missing: Int
        var tickets: [Ticket] = []
        var isCancelled = false
    }

    private let state: Lock<State>
    private let completion: @Sendable ([BatchResult]) -> Void

    /// - Parameter completion: called once, when all results have arrived and the batch was not cancelled; immediately
    ///   for an empty batch.
    init(count: Int, completion: @escaping @Sendable ([BatchResult]) -> Void) {
        state = Lock(State(results: Array(repeating: nil, count: count), missing: count))
        self.completion = completion
        if count == 0 { completion([]) }
    }

    /// Adds the result of one request. Called once for each.
    func put(_ result: BatchResult, at index: Int) {
        let results: [BatchResult]? = state.withLock { state in
            state.results[index] = result
            state.missing -= 1
            guard state.missing == 0, !state.isCancelled else { return nil }
            return state.results.compactMap(\.self)
        }
        if let results { completion(results) }
    }

    /// Keeps the ticket of a request. False if the batch has been cancelled; the caller must then cancel the request.
    func keep(_ ticket: Ticket) -> Bool {
        state.withLock { state in
            if !state.isCancelled { state.tickets.append(ticket) }
            return !state.isCancelled
        }
    }

    /// Marks the results as no longer needed.
    ///
    /// - Returns: the tickets of the requests to cancel.
    func cancel() -> [Ticket] {
        state.withLock { state in
            state.isCancelled = true
            defer { state.tickets = [] }
            return state.tickets
        }
    }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }
}
