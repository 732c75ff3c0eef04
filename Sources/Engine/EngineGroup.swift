// Several engines that serve the same models, each on its own device, and the choice among them for each request.

import Locking
import Random

/// Several engines that act as one. All requests of a user go to the engine that caches the user's state.
///
/// An engine is found by rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
/// 1998): each request ranks the engines by a hash of its own key and the engine's number. When an engine is
/// unavailable, only its requests move, each to the next engine in its ranking, and they return when it recovers.
package final class EngineGroup: Sendable {
    package let engines: [Engine]
    /// The engines' numbers in tickets and in the ranking of engines. An engine has the same number in every subset.
    private let numbers: [Int]

    /// - Parameter engines: at least one.
    package convenience init(_ engines: [Engine]) { self.init(engines, numbers: Array(engines.indices)) }

    private init(_ engines: [Engine], numbers: [Int]) {
        precondition(!engines.isEmpty, "a group needs an engine")
        self.engines = engines
        self.numbers = numbers
    }

    /// The subset of engines that have a model; the group itself if that is all of them.
    ///
    /// - Parameter places: indices of the engines, ascending, at least one.
    package func subset(_ places: [Int]) -> EngineGroup {
        places.count == engines.count
            ? self : EngineGroup(places.map { engines[$0] }, numbers: places.map { numbers[$0] })
    }

    /// Admits a request to the first engine in its ranking that accepts it. Engines on their devices come before
    /// engines on their fallbacks; engines that are not ready are skipped. If an engine refuses for lack of time or
    /// room, tries the next.
    ///
    /// - Throws: the first engine's error, if no engine accepts the request.
    package func submit(
        _ request: RecommendationRequest,
        to model: LoadedModel,
        itemGenerated: Engine.ItemHandler? = nil,
        completion: @escaping Engine.Completion
    ) throws(EngineError) -> Ticket {
        if engines.count == 1 {
            var ticket = try engines[0].submit(
                request,
                to: model,
                itemGenerated: itemGenerated,
                completion: completion
            )
            ticket.engine = numbers[0]
            return ticket
        }
        if let loading {
            throw EngineError(
                .unavailable,
                "not ready: \(loading.reason)",
                retryAfterNanoseconds: 1_000_000_000
            )
        }
        let order = order(request)
        var refusal: EngineError?
        for index in order.filter({ engines[$0].service == .byDevice })
            + order.filter({ engines[$0].service == .byFallback })
        {
            do throws(EngineError) {
                var ticket = try engines[index].submit(
                    request,
                    to: model,
                    itemGenerated: itemGenerated,
                    completion: completion
                )
                ticket.engine = numbers[index]
                return ticket
            } catch {
                refusal = refusal ?? error
            }
        }
        let codes = engines.map(\.phase.refusalCode)
        let code = codes.first { $0 == .recovering } ?? .unavailable
        throw refusal ?? EngineError(code, "no device is ready", retryAfterNanoseconds: 1_000_000_000)
    }

    /// As `Engine.cancel`.
    @discardableResult
    package func cancel(_ ticket: Ticket) -> Bool {
        numbers.firstIndex(of: ticket.engine).map { engines[$0].cancel(ticket) } ?? false
    }

    /// Forgets a user on every engine: requests may have gone to several while one was unavailable.
    package func forget(_ user: String) -> UserCache.Dropped {
        engines.reduce(into: UserCache.Dropped()) { sum, engine in
            sum += engine.forget(user)
        }
    }

    /// As `Engine.load`, on every engine.
    ///
    /// - Parameter loaded: called once; if one engine refuses the model, the others remove it again.
    package func load(
        _ model: LoadedModel,
        _ source: ModelSource,
        loaded: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        let shared = LoadResults()
        for engine in engines {
            engine.load(model, source) { [engines] result in
                let all: [Result<Void, any Error>]? = shared.results.withLock { results in
                    results.append(result)
                    return results.count == engines.count ? results : nil
                }
                guard let all else { return }
                let failure = all.first { if case .failure = $0 { true } else { false } }
                if failure != nil { for engine in engines { engine.retire(model.id) } }
                loaded(failure ?? .success(()))
            }
        }
    }

    /// As `Engine.retire`.
    package func retire(_ model: ModelID, retired: @escaping @Sendable () -> Void = {}) {
        let left = Lock(engines.count)
        for engine in engines {
            engine.retire(model) {
                let isLast = left.withLock { left in
                    left -= 1
                    return left == 0
                }
                if isLast { retired() }
            }
        }
    }

    /// As `Engine.drain`.
    package func drain() { for engine in engines { engine.drain() } }
    /// As `Engine.stop`.
    package func stop() { for engine in engines { engine.stop() } }

    /// The phase of an engine that is still starting. No engine serves until all have started, because a failure during
    /// the start ends them all.
    private var loading: EnginePhase? {
        engines.lazy.map(\.phase).first { phase in
            switch phase {
            case .loading, .warming: true
            case .ready, .recovering, .draining, .stopped, .failed: false
            }
        }
    }

    /// Ready if any engine is and none is still starting; otherwise the phase of the starting one, or of the first.
    package var phase: EnginePhase {
        if let loading { return loading }
        let phases = engines.map(\.phase)
        let ready = phases.first { if case .ready = $0 { true } else { false } }
        return ready ?? phases[0]
    }

    /// Whether nothing waits on any engine.
    package var isIdle: Bool { engines.allSatisfy(\.isIdle) }

    /// Whether every ready engine would refuse the next request because its queue is full.
    package var isQueueFull: Bool {
        engines.allSatisfy { $0.service == .none || $0.isQueueFull }
    }

    // MARK: - Ranking

    /// Indices of the engines in a request's ranking, preferred engine first.
    func order(_ request: RecommendationRequest) -> [Int] {
        let key = Self.key(request)
        let weights = engines.indices.map { SplitMix64.mixed(key ^ SplitMix64.mixed(UInt64(numbers[$0]))) }
        return engines.indices.sorted { weights[$0] > weights[$1] }
    }

    /// A hash of the user or, without a user, of the first event, because histories grow at the other end.
    private static func key(_ request: RecommendationRequest) -> UInt64 {
        if let user = request.userID {
            // FNV-1a: `Hasher` differs from process to process, which would move users to other engines.
            return user.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        }
        let item = UInt64(UInt32(bitPattern: request.history.first ?? 0))
        return SplitMix64.mixed(item) ^ UInt64(bitPattern: request.timestamps?.first ?? 0)
    }
}

/// The results of loading a model on the engines of a group.
private final class LoadResults: Sendable {
    let results = Lock<[Result<Void, any Error>]>([])
}
