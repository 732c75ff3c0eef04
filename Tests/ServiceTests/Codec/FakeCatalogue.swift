// A catalogue for codec tests: a few ids, without a model.

import Catalogue
import Engine
import JSON

@testable import Service

struct FakeCatalogue: ItemLookup, ItemIDWriter, ItemSource {
    var items: FakeCatalogue { self }
    let hasChoice = false
    func choose(_ target: CallTarget) throws(CallError) {}
    func endCall() {}

    let idsAreIntegers: Bool
    private let rows: [String: Int32]
    private let ids: [Int32: String]
    private let tags: [String: Int32] = ["scifi": 0, "drama": 1, "": 2]

    private init(_ ids: [String], idsAreIntegers: Bool) {
        self.idsAreIntegers = idsAreIntegers
        rows = Dictionary(uniqueKeysWithValues: zip(ids, Int32(1)...))
        self.ids = Dictionary(uniqueKeysWithValues: zip(Int32(1)..., ids))
    }

    /// Rows 1… are `a`, `b`, `c`, `é "1"`, and the empty id.
    static let strings = FakeCatalogue(["a", "b", "c", "é \"1\"", ""], idsAreIntegers: false)
    /// Rows 1… are 10, 20, −30, the largest and the smallest `Int64`.
    static let integers = FakeCatalogue(
        ["10", "20", "-30", "9223372036854775807", "-9223372036854775808"],
        idsAreIntegers: true
    )

    func row(of key: ItemKey) -> Int32? {
        rows[key.text.map { String(decoding: $0, as: UTF8.self) } ?? String(key.integer)]
    }
    func rows(of keys: UnsafeBufferPointer<ItemKey>, into rows: UnsafeMutableBufferPointer<Int32>) {
        for index in keys.indices { rows[index] = row(of: keys[index]) ?? 0 }
    }
    func tag(utf8: UnsafeBufferPointer<UInt8>) -> Int32? { tags[String(decoding: utf8, as: UTF8.self)] }

    func appendID(ofRow row: Int32, to json: inout [UInt8]) {
        guard let id = ids[row] else { return }
        if idsAreIntegers {
            json += Array(id.utf8)
        } else {
            var writer = JSONWriter()
            writer.string(id)
            json += writer.bytes
        }
    }
}

extension RecommendCodec {
    /// Small limits, so that tests can reach both sides of them.
    static let forTests = RecommendCodec(
        limits: CallLimits(defaultK: 10, maxK: 100, maxHistory: 4, maxListed: 3, maxBatch: 2, maxCandidates: 4)
    )

    func decode(
        _ body: String,
        as question: Question = .recommend,
        items: FakeCatalogue = .strings
    ) throws(CallError) -> RecommendCall {
        var items = items
        return try decode(Array(body.utf8), as: question, from: &items, arrival: .forTests)
    }

    /// The status and sentence of a refused body; nil if it is accepted.
    func refusal(_ body: String, as question: Question = .recommend, items: FakeCatalogue = .strings) -> String? {
        do throws(CallError) {
            _ = try decode(body, as: question, items: items)
            return nil
        } catch {
            return "\(error.status) \(error.detail)"
        }
    }
}

extension Arrival {
    /// One second after the clock's start, and a billion seconds after the epoch.
    static let forTests = Arrival(Instant(nanoseconds: 1_000_000_000), time: 1_000_000_000)
}

extension RecommendationRequest {
    /// The request of an empty body.
    static let forTests = RecommendationRequest(
        history: [],
        timestamps: nil,
        requestTime: Arrival.forTests.time,
        count: 10,
        arrival: Arrival.forTests.instant
    )
}

extension RecommendCodec {
    func decode(_ body: [UInt8]) throws(CallError) -> RecommendCall {
        var items = FakeCatalogue.strings
        return try decode(body, from: &items, arrival: .forTests)
    }
}

extension RecommendCodec {
    func decodeBatch(
        _ body: String,
        as question: Question = .recommend
    ) throws(CallError) -> [Result<RecommendCall, CallError>] {
        var items = FakeCatalogue.strings
        return try decodeBatch(Array(body.utf8), as: question, from: &items, arrival: .forTests)
    }
}
