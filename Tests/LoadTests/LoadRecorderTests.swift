// Counting, and the report of the counts.

import Foundation
import Histogram
import Random
import Testing

@testable import Load

@Suite struct LoadRecorderTests {
    private static let millisecond: UInt64 = 1_000_000

    @Test func latencyCountsFromWhenARequestWasToBeSent_WhateverItsStatus() {
        var recorder = LoadRecorder(deadline: nil)
        for index in 1...1_000 {
            recorder.ended(
                .status(index <= 900 ? 200 : 500),
                intended: 5,
                begun: 5,
                end: 5 + UInt64(index) * Self.millisecond
            )
        }
        recorder.ended(.timeout, intended: 0, begun: 0, end: 9_000 * Self.millisecond)
        #expect(recorder.answered == 1_000)
        for (percentile, milliseconds) in [(50.0, 500.0), (90, 900), (99, 990), (99.9, 999), (100, 1_000)] {
            let measured = Double(recorder.latency.valueAtPercentile(percentile)) / 1e6
            #expect(abs(measured - milliseconds) <= milliseconds / 1_000 + 1)
        }
        #expect(recorder.statuses.map(\.status) == [200, 500])
        #expect(recorder.statuses.map(\.count) == [900, 100])
        #expect(recorder.lastReply == 5 + 1_000 * Self.millisecond)
    }

    @Test func goodputIsWhatComesInTime_AtTheDeadlineStill() {
        var recorder = LoadRecorder(deadline: 80 * Self.millisecond)
        recorder.ended(.status(200), intended: 0, begun: 0, end: 80 * Self.millisecond)
        recorder.ended(.status(200), intended: 0, begun: 0, end: 80 * Self.millisecond + 1)
        recorder.ended(.status(204), intended: 0, begun: 0, end: 1)
        recorder.ended(.status(429), intended: 0, begun: 0, end: 1)
        #expect(recorder.good == 1)
        var patient = LoadRecorder(deadline: nil)
        patient.ended(.status(200), intended: 0, begun: 0, end: .max)
        #expect(patient.good == 1)
    }

    @Test func admittedAndRefused_AreApart() {
        var recorder = LoadRecorder(deadline: nil)
        for (status, milliseconds) in [(200, 50), (504, 100), (429, 1), (503, 2), (400, 3)] as [(Int, UInt64)] {
            recorder.ended(.status(status), intended: 0, begun: 0, end: milliseconds * Self.millisecond)
        }
        recorder.ended(.status(200), intended: 0, begun: 80 * Self.millisecond, end: 90 * Self.millisecond)
        #expect(recorder.admittedLatency.totalCount == 3)
        #expect(recorder.serviceTime.totalCount == 3)
        #expect(recorder.serviceTime.min >= 9 * Self.millisecond && recorder.serviceTime.min <= 10 * Self.millisecond)
        #expect(recorder.refusedLatency.totalCount == 2)
        #expect(recorder.latency.totalCount == 6)
        #expect(recorder.refusedLatency.maxRecorded == 2 * Self.millisecond)
    }

    @Test func addedUp_TheSameAsCountedByOne() throws {
        var whole = LoadRecorder(deadline: 40 * Self.millisecond, keepsTrace: true)
        var parts = [whole, whole, whole]
        var generator = SplitMix64(seed: 4)
        for index in 0..<3_000 {
            let outcomes = [Outcome.status(200), .status(429), .timeout, .abandoned]
            let outcome = try #require(outcomes.randomElement(using: &generator))
            let intended = UInt64(index) * Self.millisecond
            let end = intended + .random(in: 0...(100 * Self.millisecond), using: &generator)
            let lag = generator.happens(0.9) ? UInt64.random(in: 0...Self.millisecond, using: &generator) : nil
            func record(_ recorder: inout LoadRecorder) {
                recorder.began(isReturning: index % 3 == 0, lag: lag)
                recorder.ended(outcome, intended: intended, begun: intended, end: end)
                recorder.read(ReplyFacts(text: "{\"items\":[],\"history_used\":3,\"history_cached\":1}"))
                recorder.bytesSent += 10
            }
            record(&whole)
            record(&parts[index % 3])
        }
        var sum = LoadRecorder(deadline: 40 * Self.millisecond, keepsTrace: true)
        for part in parts { sum.add(part) }
        #expect(sum.outcomes == whole.outcomes)
        #expect(sum.latency == whole.latency)
        #expect(sum.serviceTime == whole.serviceTime)
        #expect(sum.lag == whole.lag)
        #expect(sum.good == whole.good)
        #expect(sum.begun == 3_000)
        #expect(sum.returning == whole.returning)
        #expect(sum.connectionWaits == whole.connectionWaits)
        #expect(sum.historyCached == 3_000)
        #expect(sum.bytesSent == 30_000)
        #expect(sum.lastReply == whole.lastReply)
        #expect(sum.trace.sorted { $0.intended < $1.intended } == whole.trace)
    }

    // MARK: Facts

    @Test func factsOfAReply_AreRead() throws {
        let facts = try #require(
            ReplyFacts(
                text: #"{"request_id":"x","items":[{"item":"a","score":0.5}],"source":"popularity","history_used":63,"#
                    + #""history_cached":62,"unknown_items":4,"exhausted":false,"timing_ms":{"queue":0.1}}"#
            )
        )
        #expect(facts.historyUsed == 63)
        #expect(facts.historyCached == 62)
        #expect(facts.unknownItems == 4)
        #expect(facts.isByPopularity)
        #expect(ReplyFacts(text: #"{"items":[],"source":"model","history_used":1e300}"#)?.isByPopularity == false)
    }

    @Test(arguments: [
        "", "ok", "[]", "{}", #"{"items":3}"#, #"{"items":[]"#, #"{"items":[]} x"#, #"{"source":1,"items":[]}"#,
    ])
    func whatIsNoRecommendation_HasNoFacts(text: String) {
        #expect(ReplyFacts(text: text) == nil)
    }

    // MARK: Report

    private func report(_ arrivals: Arrivals = .open(rate: 100), _ fill: (inout LoadRecorder) -> Void) -> LoadReport {
        var plan = LoadPlan(arrivals: arrivals, duration: 2_000 * Self.millisecond, seed: .max)
        plan.keepsTrace = true
        var report = LoadReport(plan: plan, startTime: 1_000, descriptorLimit: 1_100)
        var recorder = LoadRecorder(deadline: nil, keepsTrace: true)
        fill(&recorder)
        report.add((recorder, plan.duration))
        return report
    }

    private func object(_ report: LoadReport) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [String: Any])
    }

    @Test func json_HasTheShapeOfTheContract() throws {
        let report = report { recorder in
            for index in 0..<100 {
                recorder.began(isReturning: false, lag: 1_000)
                recorder.ended(.status(index < 90 ? 200 : 429), intended: 0, begun: 0, end: 4_000 * Self.millisecond)
            }
        }
        #expect(report.json.hasPrefix(#"{"offered_rate":100.0,"throughput":25.0,"goodput":22.5,"latency_ms":{"p50":"#))
        let object = try object(report)
        let latency = try #require(object["latency_ms"] as? [String: Double])
        #expect(latency.keys.sorted() == ["max", "p50", "p90", "p99", "p99.9"])
        #expect(latency["max"] == 4_000)
        #expect(object["statuses"] as? [String: Int] == ["200": 90, "429": 10])
        #expect(object["seconds"] as? Double == 4)
        #expect(object["seed"] as? String == "18446744073709551615")
        #expect((object["requests"] as? [String: Int])?["begun"] == 100)
        #expect(report.table.contains("goodput         22.500"))
    }

    @Test func whatWasNotMeasured_IsNull() throws {
        let object = try object(report { _ in })
        #expect((object["latency_ms"] as? [String: Any])?["p99"] is NSNull)
        #expect((object["replies"] as? [String: Any])?["cached_share"] is NSNull)
        #expect((object["statuses"] as? [String: Int])?.isEmpty == true)
        #expect(object["throughput"] as? Double == 0)
    }

    @Test func rateOfAClosedLoop_IsWhatItsCallersCameTo() {
        let report = report(.closed(connections: 2)) { recorder in
            for _ in 0..<10 { recorder.began(isReturning: false, lag: 0) }
        }
        #expect(report.offeredRate == 5)
        #expect(report.remarks.isEmpty)
    }

    @Test func remarks_SayWhatMustBeKnown() {
        #expect(
            report { recorder in
                recorder.began(isReturning: false, lag: 500 * Self.millisecond)
                recorder.ended(.status(200), intended: 0, begun: 0, end: 600 * Self.millisecond)
            }.remarks.first?.hasPrefix("the load generator was late") == true
        )
        #expect(report { $0.began(isReturning: false, lag: nil) }.remarks.first?.hasPrefix("1 requests waited") == true)
        #expect(
            report { $0.ended(.status(302), intended: 0, begun: 0, end: 1) }.remarks.first?.contains("redirects")
                == true
        )
        #expect(
            report { $0.ended(.status(401), intended: 0, begun: 0, end: 1) }.remarks.first?.contains("API key") == true
        )
        #expect(report { $0.read(nil) }.remarks.first?.contains("not recommendations") == true)
        #expect(
            report { $0.read(ReplyFacts(text: #"{"items":[],"unknown_items":5}"#)) }.remarks.first?
                .contains("does not know most") == true
        )
        #expect(report(.closed(connections: 2_000)) { _ in }.remarks.first?.contains("1100 descriptors") == true)
    }

    @Test func trace_HasALineARequest_ByTime() {
        let report = report { recorder in
            recorder.ended(
                .status(200),
                intended: 1_500 * Self.millisecond,
                begun: 1_500 * Self.millisecond,
                end: 1_501 * Self.millisecond
            )
            recorder.ended(
                .connectionLost,
                intended: 250 * Self.millisecond,
                begun: 250 * Self.millisecond,
                end: 252 * Self.millisecond
            )
        }
        #expect(report.trace == "time\tlatency_ms\toutcome\n1000.25\t2.0\tconnection_lost\n1001.5\t1.0\t200\n")
    }
}

extension ReplyFacts {
    fileprivate init?(text: String) {
        let bytes = Array(text.utf8)
        guard let facts = bytes.withUnsafeBufferPointer({ ReplyFacts(json: $0) }) else { return nil }
        self = facts
    }
}
