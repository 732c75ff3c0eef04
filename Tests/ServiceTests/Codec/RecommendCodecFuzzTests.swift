// The codec on mutated bodies: it takes them or says 400 or 422, and what it takes keeps every promise of `RecommendCall`.

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
    ]
    private static let fragments = [
        "\"history\":", "\"items\":[", "\"timestamps\":[", "\"timestamp\":9", "\"k\":", "\"mode\":\"sequence\"",
        "{\"history\":[]}", "\"a\",\"b\"", "10,20",
    ]
    private static let limits = CallLimits(defaultK: 10, maxK: 100, maxHistory: 4, maxListed: 3, maxBatch: 2)

    @Test(arguments: [FakeCatalogue.strings, .integers])
    func mutatedBodiesAreTakenOrRefused(items: FakeCatalogue) {
        let codec = RecommendCodec(limits: Self.limits)
        var mutation = Mutation(seed: 2, seeds: Self.seeds, fragments: Self.fragments)
        let start = ContinuousClock.now
        var round = 0
        var verdicts: [Int: Int] = [:]
        while Mutation.shouldGoOn(round: round, of: 10_000, since: start) {
            round += 1
            let body = mutation.next()
            do throws(CallError) {
                check(try codec.decode(body, items: items))
                verdicts[200, default: 0] += 1
            } catch {
                verdicts[error.status, default: 0] += 1
                if error.status == 422 { #expect(isJSON(body), "422 is for well-formed bodies") }
            }
            do throws(CallError) {
                let calls = try codec.decodeBatch(body, items: items)
                #expect(calls.count <= Self.limits.maxBatch)
                for call in calls { if case .success(let call) = call { check(call) } }
            } catch {
                #expect(error.status == 400 || isJSON(body))
            }
        }
        // Each verdict must have come up, else the mutations test nothing.
        #expect(Set(verdicts.keys) == [200, 400, 422])
    }

    private func isJSON(_ body: [UInt8]) -> Bool {
        var ignored = false
        return (try? JSONTree.read(body, hasDoubtfulMeaning: &ignored)) != nil
    }

    private func check(_ call: RecommendCall) {
        let history = call.history
        #expect((1...Self.limits.maxK).contains(call.k))
        #expect(history.eventCount <= Self.limits.maxHistory)
        #expect(history.rows.count <= history.eventCount)
        #expect(call.unknownItems >= history.eventCount - history.rows.count)
        if let timestamps = history.timestamps {
            #expect(timestamps.count == history.rows.count)
            #expect(zip(timestamps, timestamps.dropFirst()).allSatisfy { $0 <= $1 })
            #expect(timestamps.allSatisfy { $0.magnitude <= 1 << 53 })
        }
        let lists = [
            history.rows, call.exclusion.rows, call.exclusion.tags, call.allowance?.rows ?? [],
            call.allowance?.tags ?? [],
        ]
        #expect(lists.allSatisfy { $0.allSatisfy { $0 >= 0 } })
        #expect(call.exclusion.rows.count <= Self.limits.maxListed)
        #expect(call.sampling == nil || call.mode == .sequence)
        if let sampling = call.sampling {
            #expect(sampling.temperature > 0 && (1 / sampling.temperature).isFinite)
            #expect(sampling.topP > 0 && sampling.topP <= 1)
        }
        if let deadline = call.deadlineMilliseconds { #expect((1...86_400_000).contains(deadline)) }
        if let id = call.userID { #expect((1...256).contains(id.utf8.count)) }
    }
}
