// Candidate scoring through scheduler, cache and the stub device: a strategy beside the selection from the catalogue.

import Catalogue
import Compute
import Dispatch
import Locking
import Testing

@testable import Engine

@Suite struct CandidateScoringTests {
    private func request(
        _ fixture: Fixture,
        _ history: [Int32],
        _ rows: [Int32],
        user: String? = nil
    )
        -> RecommendationRequest
    {
        var request = fixture.request(history, user: user)
        request.mode = .rank(rows)
        return request
    }

    @Test func candidates_AreScoredInTheirOrder_WhateverIsEligible() throws {
        let fixture = try Fixture()
        var asked = request(fixture, [1, 2], [40, 2, 7])
        asked.eligibility.allowance = .init(rows: [], tags: [])
        try fixture.submit("a", asked)
        let answer = try #require(fixture.wait(for: 1)["a"]).get()
        #expect(answer.items == [(40, 40), (2, 2), (7, 7)].map { ScoredRow(row: $0, score: $1) })
        #expect(!answer.exhausted && answer.source == .model && answer.historyUsed == 2)
    }

    @Test func candidatesAndTheBest_ShareABatch() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("first", fixture.request([9]))
        fixture.control.reachedGate.wait()
        try fixture.submit("best", fixture.request([1, 2]))
        try fixture.submit("scores", request(fixture, [1, 2], [5, 6]))
        try fixture.submit("more scores", request(fixture, [1, 3], [8]))
        fixture.release()
        let outcomes = fixture.wait(for: 4)
        #expect(try fixture.rows(outcomes["best"]) == [3, 4, 5])
        #expect(try fixture.rows(outcomes["scores"]) == [5, 6])
        #expect(try fixture.rows(outcomes["more scores"]) == [8])
        #expect(fixture.control.batches.map(\.count) == [1, 3])
    }

    @Test func whatIsKeptOfAUser_ServesBoth() throws {
        let fixture = try Fixture(cachePages: 20)
        try fixture.submit("best", fixture.request([1, 2, 3], user: "u"))
        _ = fixture.wait(for: 1)
        try fixture.submit("scores", request(fixture, [1, 2, 3, 4], [8], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["scores"]).get().historyCached == 3)
        try fixture.submit("best", fixture.request([1, 2, 3, 4, 5], user: "u"))
        #expect(try #require(fixture.wait(for: 1)["best"]).get().historyCached == 4)
    }

    @Test func equalCandidates_AreComputedOnce_OthersApart() throws {
        let fixture = try Fixture(gated: true)
        try fixture.submit("first", fixture.request([9]))
        fixture.control.reachedGate.wait()
        try fixture.submit("a", request(fixture, [1, 2], [5, 6]))
        try fixture.submit("b", request(fixture, [1, 2], [5, 6]))
        try fixture.submit("c", request(fixture, [1, 2], [6, 5]))
        fixture.release()
        let outcomes = fixture.wait(for: 4)
        #expect(try fixture.rows(outcomes["b"]) == [5, 6])
        #expect(try fixture.rows(outcomes["c"]) == [6, 5])
        #expect(fixture.control.batches.map(\.count) == [1, 2])
    }

    @Test func withoutAHistory_PopularityScores() throws {
        let fixture = try Fixture()
        try fixture.submit("a", request(fixture, [], [5, 6]))
        let answer = try #require(fixture.wait(for: 1)["a"]).get()
        #expect(answer.source == .popularity && !answer.exhausted)
        #expect(answer.items.map(\.row) == [5, 6])
    }

    @Test func aScoreThatIsNoNumber_IsAFailureOfTheModel() throws {
        let fixture = try Fixture()
        fixture.control.state.withLock { $0.score = .nan }
        try fixture.submit("a", request(fixture, [1], [5]))
        #expect(throws: EngineError(.computationFailed, "")) { try #require(fixture.wait(for: 1)["a"]).get() }
    }
}
