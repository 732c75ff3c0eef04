// `"explain": true`: which events of the history raised an item's score. The scores are recomputed without each of the
// newest events, as separate requests that share a batch. The effect of an event is what an item loses without it.

internal import Catalogue
internal import Compute
internal import Dispatch
internal import Engine
internal import Locking

/// Explains the items of a reply by omitting one event at a time.
enum Explanation {
    /// How many of the newest events are left out in turn.
    static let maximumEvents = 16
    /// The most events that an item's explanation names.
    static let maximumNamed = 3

    /// For each of the newest events that the model saw, newest first, a request for the items' scores without it.
    static func requests(_ request: RecommendationRequest, _ answer: Recommendation) -> [RecommendationRequest] {
        // Drop events that the model did not see: an older one would otherwise enter the window for each omitted event.
        let first = request.history.count - answer.historyUsed
        guard answer.source == .model, answer.historyUsed > 1, first >= 0, !answer.items.isEmpty else { return [] }
        let arrival = Instant.now()
        return request.history.indices.suffix(min(answer.historyUsed, maximumEvents)).reversed().map { index in
            func without<Value>(_ values: [Value]) -> [Value] {
                values.isEmpty ? [] : Array(values[first..<index] + values[(index + 1)...])
            }
            return RecommendationRequest(
                history: without(request.history),
                timestamps: request.timestamps.map(without),
                actions: without(request.actions),
                requestTime: request.requestTime,
                count: answer.items.count,
                mode: .rank(answer.items.map(\.row)),
                priority: request.priority,
                arrival: arrival,
                deadline: request.deadline
            )
        }
    }

    /// For each item, the events with an effect above 0, the greatest first.
    ///
    /// - Parameter scores: for each request of `requests`, the items' scores.
    static func effects(
        _ request: RecommendationRequest,
        _ answer: Recommendation,
        _ scores: [[ScoredRow]]
    ) -> [[ScoredRow]] {
        let events = request.history.suffix(scores.count).reversed()
        return answer.items.indices.map { item in
            let effects = zip(events, scores).map { event, scores in
                ScoredRow(row: event, score: answer.items[item].score - scores[item].score)
            }
            // Stable sorting keeps the newer of equally strong events first.
            return Array(effects.filter { $0.score > 0 }.sorted { $0.score > $1.score }.prefix(maximumNamed))
        }
    }
}

extension RequestHandler {
    /// A completion that explains the model's answer. If the engine has no room for that, the items come without
    /// explanations.
    func explaining(
        _ request: RecommendationRequest,
        by model: ServedModel,
        _ completion: @escaping Engine.Completion
    ) -> Engine.Completion {
        { [batches] result in
            guard case .success(let answer) = result else { return completion(result) }
            let requests = Explanation.requests(request, answer)
            guard !requests.isEmpty else { return completion(result) }
            // The engine's thread calls this and must not be delayed.
            batches.async {
                let scores = LeftOutScores(count: requests.count) { scores in
                    var explained = answer
                    if let scores { explained.explanations = Explanation.effects(request, answer, scores) }
                    completion(.success(explained))
                }
                for (index, request) in requests.enumerated() {
                    do throws(EngineError) {
                        _ = try model.engines.submit(request, to: model.model) { scores.put($0, at: index) }
                    } catch {
                        scores.put(.failure(error), at: index)
                    }
                }
            }
        }
    }
}

/// Gathers the scores computed without each of the events.
private final class LeftOutScores: Sendable {
    private struct State {
        var scores: [[ScoredRow]]
        var missing: Int
        var hasFailed = false
    }

    private let state: Lock<State>
    private let completion: @Sendable ([[ScoredRow]]?) -> Void

    /// - Parameter completion: called once, with nil if some scores could not be computed.
    init(count: Int, completion: @escaping @Sendable ([[ScoredRow]]?) -> Void) {
        state = Lock(State(scores: Array(repeating: [], count: count), missing: count))
        self.completion = completion
    }

    func put(_ result: Result<Recommendation, EngineError>, at index: Int) {
        let isLast = state.withLock { state in
            if case .success(let answer) = result {
                state.scores[index] = answer.items
            } else {
                state.hasFailed = true
            }
            state.missing -= 1
            return state.missing == 0
        }
        guard isLast else { return }
        completion(state.withLock { $0.hasFailed ? nil : $0.scores })
    }
}
