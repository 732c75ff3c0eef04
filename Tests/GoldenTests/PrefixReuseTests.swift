// Models that compute a history in parts against the same models computing it whole: the same bits, wherever it is cut,
// whatever shares the batch, and whichever request stored the parts.

import Compute
import ComputeCPU
import Models
import Random
import Testing

@Suite struct PrefixReuseTests {
    /// A history in a test: its cached rows, and their pages.
    private struct User {
        var items: [Int32]
        var timestamps: [Int64]?
        var requestTime: Int64
        /// Rows in `pages`.
        var cached = 0
        var pages: [Int32]

        /// The time that follows the first `count` events.
        func time(after count: Int) -> Int64 { count < items.count ? (timestamps?[count] ?? 0) : requestTime }
    }

    /// A model on a device, with pages for every user.
    private struct Session {
        let model: any DecoderModel
        let stream: any Compute.Stream
        let pages: (any KeyValuePages)?
        private var nextPage: Int32 = 0

        init(_ bundle: ModelBundle, threads: Int) throws {
            let device = try CPUDevice(threads: threads)
            model = try ModelRegistry.makeModel(bundle, on: device)
            stream = try device.makeStream()
            if case .exact(let shape, _) = model.prefixReuse {
                pages = try device.makeKeyValuePages(shape, byteCount: 64 << 20)
            } else {
                pages = nil
            }
        }

        /// The case's history, cut to the window, with its own pages.
        mutating func user(_ example: Fixture.Case, timed: Bool, length: Int? = nil) throws -> User {
            let items = example.history.items.suffix(model.window)
            let times = example.history.timestamps.suffix(model.window)
            let length = length ?? items.count
            var user = User(
                items: Array(items.prefix(length)),
                timestamps: timed ? Array(times.prefix(length)) : nil,
                requestTime: timed ? example.request_time : 0,
                pages: []
            )
            let pageRows = try #require(pages).pageRows
            // Backwards, so that a page's number does not tell its place.
            let count = Int32((items.count + pageRows - 1) / pageRows)
            user.pages = (0..<count).map { nextPage + count - 1 - $0 }
            nextPage += count
            return user
        }

        /// Computes each user's history up to `ends`, from its cached rows or whole.
        ///
        /// - Parameters:
        ///   - lastTimes: the time that follows each user's last row of the batch; nil: the true one.
        ///   - mostRows: the number of rows at a time; nil: as many as suit the device.
        /// - Returns: the query of each.
        func encode(
            _ users: inout [User],
            to ends: [Int],
            usesPages: Bool,
            stores: Bool = true,
            lastTimes: [Int64]? = nil,
            mostRows: Int? = nil
        ) throws -> [[Float]] {
            let begins = users.map { usesPages ? $0.cached : 0 }
            var batch = SequenceBatch(
                layout: Jagged(lengths: zip(begins, ends).map { $1 - $0 }),
                items: [],
                timestamps: [],
                timed: users.map { $0.timestamps != nil }
            )
            for (number, user) in users.enumerated() {
                batch.items += user.items[begins[number]..<ends[number]]
                batch.timestamps += (0..<ends[number]).map { user.timestamps?[$0] ?? 0 }
                batch.timestamps.append(lastTimes?[number] ?? user.time(after: ends[number]))
            }
            if usesPages {
                batch.cached = CachedRows(
                    pages: try #require(pages),
                    sequences: users.map { PagedSequence(rows: $0.cached, pages: $0.pages, storesRows: stores) }
                )
            }
            try stream.begin()
            let queries = try model.encodeInParts(batch, on: stream, mostRows: mostRows)
            try stream.synchronize()
            let values = try stream.read(queries)
            if usesPages, stores {
                for number in users.indices { users[number].cached = ends[number] }
            }
            return users.indices.map { Array(values[$0 * queries.columns..<($0 + 1) * queries.columns]) }
        }

        var dependsOnTime: Bool {
            if case .exact(_, dependsOnNextTime: true) = model.prefixReuse { true } else { false }
        }

        /// The queries of whole histories.
        func whole(_ users: [User]) throws -> [[UInt32]] {
            var users = users
            return try encode(&users, to: users.map(\.items.count), usesPages: false).map { $0.map(\.bitPattern) }
        }
    }

    private func isExact(_ model: any DecoderModel) -> Bool {
        if case .exact = model.prefixReuse { true } else { false }
    }

    @Test(arguments: Fixture.names)
    func reusesExactly_WhatTheModelSheetSays(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let session = try Session(bundle, threads: 1)
            #expect(isExact(session.model) == !["sasrec-original", "sasrec-pre", "sasrec-post"].contains(name))
            if case .exact(_, let dependsOnNextTime) = session.model.prefixReuse {
                #expect(dependsOnNextTime == name.hasPrefix("hstu"))
            }
        }
    }

    @Test(arguments: Fixture.names, [1, 2])
    func computesTheSameBits_HoweverAHistoryIsCut(name: String, threads: Int) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            var session = try Session(bundle, threads: threads)
            guard isExact(session.model) else { return }
            var random = SplitMix64(seed: name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
            let users = try fixture.cases.enumerated().map { try session.user($1, timed: $0 % 3 != 2) }
            let expected = try session.whole(users)
            for attempt in 0..<6 {
                var running = users
                for number in running.indices { running[number].cached = 0 }
                var answers = [[UInt32]](repeating: [], count: running.count)
                // All users grow in one batch, each in its own parts; the last attempt event by event.
                while let unfinished = running.indices.first(where: { running[$0].cached < running[$0].items.count }) {
                    let growing = running.indices.filter {
                        running[$0].cached < running[$0].items.count
                            && ($0 == unfinished || random.below(2) == 0)
                    }
                    var batch = growing.map { running[$0] }
                    let ends = batch.map { user in
                        let left = user.items.count - user.cached
                        let most = attempt == 5 ? 1 : attempt % 2 == 0 ? left : min(left, 9)
                        let part = 1 + random.below(most)
                        return user.cached + part
                    }
                    // Every second attempt in parts of few rows.
                    let mostRows = attempt.isMultiple(of: 2) ? nil : random.below(40)
                    let queries = try session.encode(&batch, to: ends, usesPages: true, mostRows: mostRows)
                    for (place, number) in growing.enumerated() {
                        running[number] = batch[place]
                        answers[number] = queries[place].map(\.bitPattern)
                    }
                }
                #expect(answers == expected, "\(name), attempt \(attempt)")
            }
        }
    }

    /// Parts of equal lengths reuse the same working memory one after the other, but nothing derived from its content.
    @Test(arguments: Fixture.names)
    func computesTheSameBits_InPartsThatDifferInTheirTimesAlone(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let session = try Session(bundle, threads: 1)
            let example = try #require(fixture.cases.max { $0.history.items.count < $1.history.items.count })
            let items = Array(example.history.items.suffix(session.model.window))
            var users = [Int64(1), 60, 86_400, 60].map { step in
                User(
                    items: items,
                    timestamps: items.indices.map { 1_600_000_000 + Int64($0) * step },
                    requestTime: 1_700_000_000,
                    pages: []
                )
            }
            let ends = users.map(\.items.count)
            let expected = try users.flatMap { try session.whole([$0]) }
            let inParts = try session.encode(&users, to: ends, usesPages: false, mostRows: items.count)
            #expect(inParts.map { $0.map(\.bitPattern) } == expected)
            // Otherwise the model ignores times, and the test shows nothing.
            if session.dependsOnTime { #expect(expected[0] != expected[2]) }
            #expect(expected[1] == expected[3])
        }
    }

    /// As in the engine: a request stores all its rows under its own time; the next one has one more event and reuses
    /// all rows, or all but the last if that depended on the time.
    @Test(arguments: Fixture.names)
    func computesTheSameBits_WhenHistoriesGrowBetweenRequests(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            var session = try Session(bundle, threads: 1)
            guard case .exact(_, let dependsOnNextTime) = session.model.prefixReuse else { return }
            for (index, example) in fixture.cases.enumerated() {
                var users = [try session.user(example, timed: index % 3 != 2)]
                let length = users[0].items.count
                for end in max(1, length - 20)...length {
                    var short = users[0]
                    short.items = Array(short.items.prefix(end))
                    short.requestTime = end < length ? short.time(after: end) - 5 : short.requestTime
                    var batch = [short]
                    let query = try session.encode(&batch, to: [end], usesPages: true, lastTimes: [short.requestTime])
                    #expect(query[0].map(\.bitPattern) == (try session.whole([short]))[0], "\(name), case \(index)")
                    users[0].cached = end - (dependsOnNextTime && short.timestamps != nil ? 1 : 0)
                }
            }
        }
    }

    @Test(arguments: Fixture.names)
    func refuses_CachedRowsThatTheModelCannotUse(name: String) throws {
        let fixture = try Fixture(name)
        try fixture.withBundle { bundle in
            let device = try CPUDevice(threads: 1)
            let model = try ModelRegistry.makeModel(bundle, on: device)
            var shape = KeyValueShape(layers: 1, heads: 1, keyColumns: 3, valueColumns: 3)
            let stranger = try device.makeKeyValuePages(shape, byteCount: 1 << 20)
            if case .exact(let own, _) = model.prefixReuse { shape = own }
            let pages = try device.makeKeyValuePages(shape, byteCount: 8 << 20)
            let stream = try device.makeStream()
            let fits = PagedSequence(rows: 1, pages: [0], storesRows: false)
            var refused = [
                CachedRows(pages: stranger, sequences: [fits]),
                CachedRows(pages: pages, sequences: []),
                CachedRows(pages: pages, sequences: [fits, fits]),
            ]
            let impossible = [
                PagedSequence(rows: -1, pages: [0], storesRows: false),
                PagedSequence(rows: .max, pages: [0], storesRows: false),
                PagedSequence(rows: 2 * pages.pageRows, pages: [0], storesRows: false),
                PagedSequence(rows: 1, pages: [Int32(pages.pageCount)], storesRows: false),
            ]
            refused += impossible.map { CachedRows(pages: pages, sequences: [$0]) }
            for cached in refused {
                try stream.begin()
                let batch = SequenceBatch(
                    layout: Jagged(lengths: [1]),
                    items: [1],
                    timestamps: [0, 0, 0],
                    timed: [false],
                    cached: cached
                )
                let refusal = try #require(
                    #expect(throws: ComputeError(.invalidArgument, "")) { try model.encode(batch, on: stream) }
                )
                if case .none(let reason) = model.prefixReuse { #expect(refusal.message.hasSuffix(reason)) }
            }
        }
    }
}
