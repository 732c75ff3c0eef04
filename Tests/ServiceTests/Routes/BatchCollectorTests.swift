// Results that arrive in any order, and a caller that leaves.

import Locking
import Testing

@testable import Engine
@testable import Service

@Suite struct BatchCollectorTests {
    private static func result(_ number: Int) -> BatchResult {
        .problem(ProblemDetails(422, "\(number)", "id"))
    }

    @Test func completion_IsCalledOnce_WithTheResultsInTheRequestsOrder() {
        let seen = Lock<[[BatchResult]]>([])
        let collector = BatchCollector(count: 3) { results in seen.withLock { $0.append(results) } }
        for index in [2, 0, 1] {
            #expect(seen.withLock { $0.isEmpty })
            collector.put(Self.result(index), at: index)
        }
        #expect(seen.withLock { $0 } == [[0, 1, 2].map(Self.result)])
    }

    @Test func emptyBatch_IsCompleteAtOnce() {
        let count = Lock<Int?>(nil)
        _ = BatchCollector(count: 0) { results in count.withLock { $0 = results.count } }
        #expect(count.withLock { $0 } == 0)
    }

    @Test func cancelledBatch_HandsOverItsTickets_AndCompletesNoMore() {
        let isComplete = Lock(false)
        let collector = BatchCollector(count: 2) { _ in isComplete.withLock { $0 = true } }
        #expect(collector.keep(Ticket(id: 7)))
        #expect(collector.cancel() == [Ticket(id: 7)])
        #expect(collector.isCancelled)
        // The submitter cancels a request that it submitted meanwhile.
        #expect(!collector.keep(Ticket(id: 8)))
        #expect(collector.cancel() == [])
        collector.put(Self.result(0), at: 0)
        collector.put(Self.result(1), at: 1)
        #expect(!isComplete.withLock { $0 })
    }
}
