// The whole engine on the real device, with a user cache, against the same model without one: users who append,
// correct, shorten, repeat at another time, are forgotten and overlap get the same bits.

import Catalogue
import Compute
import ComputeCPU
import Dispatch
import Engine
import Foundation
import Locking
import Models
import Random
import Testing

/// An engine's answers, in any order.
private final class Answers: Sendable {
    private let replies: Lock<[Int: Recommendation]> = Lock([:])
    private let group = DispatchGroup()

    func expect() { group.enter() }

    func put(_ result: Result<Recommendation, EngineError>, at index: Int) {
        if let reply = try? result.get() { replies.withLock { $0[index] = reply } }
        group.leave()
    }

    func wait() -> [Int: Recommendation] {
        group.wait()
        return replies.withLock { $0 }
    }
}

@Suite struct CachedReplyTests {
    /// A user's true history; requests take a prefix of it.
    private struct User {
        var name: String?
        var items: [Int32]
        var timestamps: [Int64]?
        var requestTime: Int64

        mutating func shorten(to count: Int) {
            items = Array(items[..<count])
            timestamps = timestamps.map { Array($0[..<count]) }
        }
    }

    private static let rounds =
        ProcessInfo.processInfo.environment["GENREC_PROPERTY_RUNS"].flatMap(Int.init) ?? 300

    /// - Parameter pageShare: the size of the cache as a share of the pages that all users need; below 1 it is under
    ///   pressure.
    @Test(
        arguments: ["hstu-small", "hstu-concat-ua", "sasrec-meta", "llama-small", "gpt2-small"],
        [(threads: 1, pageShare: 4.0), (threads: 2, pageShare: 0.3)]
    )
    func aCachedReply_IsTheUncachedReply(name: String, setting: (threads: Int, pageShare: Double)) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let reference = try executor(bundle)
            let observer = ReadyObserver()
            let window = bundle.architecture.configuration.maxSequenceLength
            let pageBytes = try pageBytes(bundle)
            let stride = setting.threads == 2 ? 4 : 0
            let pages = max(4, Int(setting.pageShare * 8 * Double(window) / 16))
            var configuration = SchedulerConfiguration()
            configuration.prefillChunkEvents = 8
            configuration.maxQueuedNanoseconds = 0
            let engine = Engine(configuration, observer: observer)
            let model = LoadedModel(
                window: HistoryWindow(length: window, stride: stride),
                catalogue: CatalogueSnapshot(bundle.catalogue)
            )
            let ended = DispatchSemaphore(value: 0)
            try engine.start(
                DeviceSource(make: { try CPUDevice(threads: setting.threads) }),
                [
                    (
                        model,
                        ModelSource(cacheBytes: pages * pageBytes) { device in
                            let model = try ModelRegistry.makeModel(bundle, on: device)
                            return ResidentModel(device: device, model: model)
                        }
                    )
                ],
                ended: { ended.signal() }
            )
            observer.changed.wait()
            defer {
                engine.stop()
                ended.wait()
            }
            var random = SplitMix64(seed: UInt64(setting.threads) + UInt64(name.utf8.count) << 8)
            let itemCount = UInt64(bundle.catalogue.count)
            var users = (0..<8).map { number in
                User(
                    name: number < 5 ? "user \(number)" : nil,
                    items: [Int32(1 + random.below(itemCount))],
                    timestamps: number.isMultiple(of: 3) ? nil : [1_600_000_000],
                    requestTime: 1_600_000_500
                )
            }
            var done = 0
            var reused = 0
            while done < Self.rounds {
                // Several requests at a time, also of the same user, so that entries are shared and requests overlap.
                let answers = Answers()
                var requests: [RecommendationRequest] = []
                for _ in 0..<(1 + random.below(6)) {
                    let index = Int(random.below(8))
                    change(&users[index], window: window, itemCount: itemCount, &random)
                    requests.append(request(users[index], itemCount: itemCount, &random))
                }
                for (index, request) in requests.enumerated() {
                    answers.expect()
                    _ = try engine.submit(request, to: model) { answers.put($0, at: index) }
                    if random.below(20) == 0 { _ = engine.forget("user \(random.below(5))") }
                }
                let replies = answers.wait()
                for (index, request) in requests.enumerated() {
                    let reply = try #require(replies[index])
                    reused += reply.historyCached
                    let expected = try uncached(request, reference, model)
                    #expect(reply.items.map(\.row) == expected.map(\.row))
                    #expect(reply.items.map(\.score.bitPattern) == expected.map(\.score.bitPattern))
                }
                done += requests.count
            }
            let statistics = observer.statistics.withLock { $0 }
            #expect(statistics.hits + statistics.partialHits > 0 && reused > 0)
            #expect(statistics.evictions > 0 || setting.pageShare >= 1)
        }
    }

    private func executor(_ bundle: ModelBundle) throws -> BatchExecutor {
        let device = try CPUDevice(threads: 1)
        let model = try ModelRegistry.makeModel(bundle, on: device)
        return try BatchExecutor(
            ResidentModel(device: device, model: model)
        )
    }

    private func pageBytes(_ bundle: ModelBundle) throws -> Int {
        let device = try CPUDevice(threads: 1)
        guard case .exact(let shape, _) = try ModelRegistry.makeModel(bundle, on: device).prefixReuse else { return 0 }
        return try device.makeKeyValuePages(shape, byteCount: 1 << 20).pageByteCount
    }

    private func change(_ user: inout User, window: Int, itemCount: UInt64, _ random: inout SplitMix64) {
        switch random.below(12) {
        case 0:
            let count = user.items.count
            user.items[Int(random.below(UInt64(count)))] = Int32(1 + random.below(itemCount))
        case 1:
            let count = 1 + Int(random.below(UInt64(user.items.count)))
            user.shorten(to: count)
        case 2:
            guard let times = user.timestamps else { break }
            // A correction of an event's time: to the time of the next event.
            let index = Int(random.below(UInt64(times.count)))
            user.timestamps?[index] = index + 1 < times.count ? times[index + 1] : user.requestTime
        case 3, 4: user.requestTime += Int64(random.below(100_000))
        case 5: break
        default:
            for _ in 0...random.below(6) where user.items.count < window + 12 {
                user.items.append(Int32(1 + random.below(itemCount)))
                user.timestamps?.append(user.requestTime)
                user.requestTime += Int64(random.below(3) * 40_000)
            }
        }
        if user.items.count >= window + 12 {
            user.shorten(to: user.items.count - window / 2)
        }
    }

    private func request(
        _ user: User,
        itemCount: UInt64,
        _ random: inout SplitMix64
    ) -> RecommendationRequest {
        let isSequence = random.below(4) == 0
        let candidates = Set((0..<5).map { _ in Int32(1 + random.below(itemCount)) }).sorted()
        return RecommendationRequest(
            userID: user.name,
            history: user.items,
            timestamps: user.timestamps,
            requestTime: user.requestTime,
            count: 1 + Int(random.below(isSequence ? 5 : 9)),
            mode: isSequence
                ? .sequence(random.below(2) == 0 ? nil : Sampling(temperature: 1, topP: 0.9, seed: random.next()))
                : random.below(3) == 0 ? .rank(candidates) : .topK,
            arrival: .now()
        )
    }

    /// Computes every pass over the whole history.
    private func uncached(
        _ request: RecommendationRequest,
        _ executor: BatchExecutor,
        _ model: LoadedModel
    ) throws -> [ScoredRow] {
        var strategy = request.strategy(model.catalogue)
        var grown = request
        while true {
            let history = UsedHistory(grown, model.window)
            let pass = Pass(history: history, rows: 0..<history.count, asks: strategy.question)
            guard case .goesOn(let row) = strategy.take(.rows(try executor.run([pass]).selections[0])) else {
                return strategy.items
            }
            grown.history.append(row)
            grown.timestamps?.append(request.requestTime)
        }
    }
}
