// Heap allocations per request of the real binary, counted by a library preloaded before the C library's malloc.
// Counts, unlike times, are the same on every machine. Debug builds allocate more and have their own budget.

import Foundation
import Testing

@Suite struct AllocationTests {
    #if DEBUG
    private static let budget = 250
    #else
    private static let budget = 12
    #endif

    /// Items that the catalogue does not know: the whole path except the model.
    @Test(.enabled(if: !Genrec.isSanitized)) func requestOfUnknownItems_StaysWithinItsBudget() throws {
        try Genrec.withTemporaryFolder { folder in
            let counter = folder.appendingPathComponent("count")
            try Data(count: 8).write(to: counter)
            let server = try RunningServer(environment: [
                "LD_PRELOAD": try Genrec.interposer("allocations", in: folder), "GENREC_TEST_ALLOCATIONS": counter.path,
            ])
            defer { server.stop() }
            func count() throws -> Int {
                try Data(contentsOf: counter).withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
            }
            let items = (1...78).map { "\"unknown-\($0)\"" }.joined(separator: ",")
            let body = "{\"history\":{\"items\":[\(items)]},\"k\":10}"
            let request =
                "POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let connection = try server.connect()
            func ask(_ times: Int) throws {
                for _ in 0..<times {
                    try connection.send(request)
                    #expect(try connection.receive().status == 200)
                }
            }
            // By then everything that is allocated once has been allocated.
            try ask(200)
            // The minimum of several rounds: on a busy machine the loop wakes more often, which the request does not
            // pay for.
            var perRequest = Double.infinity
            for _ in 0..<5 where perRequest > Double(Self.budget) {
                let before = try count()
                try ask(1_000)
                perRequest = min(perRequest, (Double(try count() - before) / 1_000).rounded())
            }
            // A request allocates at least its body; a lower count means that nothing was counted.
            #expect(perRequest >= 1 && perRequest <= Double(Self.budget), "\(perRequest)")
        }
    }
}
