// The codec on mutated bodies: it accepts them or returns 400 or 422, and accepted ones keep every guarantee of
// `RecommendCall`.

import Catalogue
import Compute
import Engine
import JSON
import TestSupport
import Testing

@testable import Service

@Suite struct RecommendCodecFuzzTests {
    private static let seeds = [
        #"{"user_id":"u-42","history":[{"item":"a","timestamp":1,"action":"x"},{"item":"b","timestamp":2}],"k":10}"#,
        #"{"history":{"items":["a","?","c"],"timestamps":[1.0e3,1001,1002],"actions":[1,2,3]},"request_time":5}"#,
        #"{"history":[],"mode":"sequence","sampling":{"temperature":0.5,"top_p":0.9,"seed":7},"stream":true}"#,
        #"{"history":[],"exclude":{"items":["a"],"tags":["scifi"],"seen":false},"allow":{"items":["b"],"tags":[]}}"#,
        #"{"requests":[{"history":[{"item":"a"}]},{"history":{"items":["b"]},"k":5,"deadline_ms":80,"priority":"low"}]}"#,
        #"{"history":{"items":["a","?"]},"candidates":["c","?","b"],"order":"request"}"#,
        #"{"history":[],"candidates":[10,"20",7],"k":2}"#,
    ]
    private static let fragments = [
        "\"history\":", "\"items\":[", "\"timestamps\":[", "\"timestamp\":9", "\"k\":", "\"mode\":\"sequence\"",
        "{\"history\":[]}", "\"a\",\"b\"", "10,20", "\"candidates\":[",
    ]
    private static let limits = CallLimits(
        defaultK: 10,
        maxK: 100,
        maxHistory: 4,
        maxListed: 3,
        maxBatch: 2,
        maxCandidates: 4
    )

    @Test(arguments: [FakeCatalogue.strings, .integers])
    func mutatedBodiesAreTakenOrRefused(items: FakeCatalogue) {
        let codec = RecommendCodec(limits: Self.limits)
        var items = items
        var mutation = Mutation(seed: 2, seeds: Self.seeds, fragments: Self.fragments)
        let start = ContinuousClock.now
        var round = 0
        var verdicts: [Int: Int] = [:]
        var ranked = 0
        while Mutation.shouldGoOn(round: round, of: 10_000, since: start) {
            round += 1
            let body = mutation.next()
            do throws(CallError) {
                check(try codec.decode(body, from: &items, arrival: .forTests))
                verdicts[200, default: 0] += 1
            } catch {
                verdicts[error.status, default: 0] += 1
                if error.status == 422 { #expect(isJSON(body), "422 is for well-formed bodies") }
            }
            do throws(CallError) {
                let calls = try codec.decodeBatch(body, from: &items, arrival: .forTests)
                #expect(calls.count <= Self.limits.maxBatch)
                for call in calls { if case .success(let call) = call { check(call) } }
            } catch {
                #expect(error.status == 400 || isJSON(body))
            }
            do throws(CallError) {
                checkRanking(try codec.decode(body, as: .rank, from: &items, arrival: .forTests))
                ranked += 1
            } catch {
                #expect(error.status == 400 || isJSON(body))
            }
        }
        // Each verdict must have occurred, or the mutations test nothing.
        #expect(Set(verdicts.keys) == [200, 400, 422] && ranked > 0)
    }

    private func isJSON(_ body: [UInt8]) -> Bool {
        var ignored = false
        return (try? JSONTree.read(body, hasDoubtfulMeaning: &ignored)) != nil
    }

    private func checkRanking(_ call: RecommendCall) {
        guard let ranking = call.ranking else {
            Issue.record("a call for scores names no candidates")
            return
        }
        #expect((1...Self.limits.maxCandidates).contains(ranking.namedCount))
        #expect(Set(ranking.rows).count == ranking.rows.count && call.request.mode == .rank(ranking.rows))
        #expect(ranking.unknown.allSatisfy(isJSON))
        let items = ranking.arranged(ranking.rows.map { ScoredRow(row: $0, score: Float($0)) })
        #expect(items.count <= ranking.namedCount)
        if ranking.order == .request { #expect(items.count == ranking.namedCount) }
    }

    private func check(_ call: RecommendCall) {
        let request = call.request
        #expect((1...Self.limits.maxK).contains(request.count))
        #expect(call.eventCount <= Self.limits.maxHistory)
        #expect(request.history.count <= call.eventCount)
        #expect(call.unknownItems >= call.eventCount - request.history.count)
        if let timestamps = request.timestamps {
            #expect(timestamps.count == request.history.count)
            #expect(zip(timestamps, timestamps.dropFirst()).allSatisfy { $0 <= $1 })
            #expect(timestamps.allSatisfy { $0.magnitude <= 1 << 53 })
        }
        let eligibility = request.eligibility
        let lists = [
            request.history, eligibility.excludedRows, eligibility.excludedTags, eligibility.allowance?.rows ?? [],
            eligibility.allowance?.tags ?? [],
        ]
        #expect(lists.allSatisfy { $0.allSatisfy { $0 >= 0 } })
        #expect(eligibility.excludedRows.count <= Self.limits.maxListed)
        if case .sequence(let sampling?) = request.mode {
            #expect(sampling.temperature > 0 && (1 / sampling.temperature).isFinite)
            #expect(sampling.topP > 0 && sampling.topP <= 1)
        }
        if let deadline = request.deadline {
            #expect((1...86_400_000).contains(deadline.nanoseconds(since: request.arrival) / 1_000_000))
        }
        if let id = request.userID { #expect((1...256).contains(id.utf8.count)) }
    }
}
