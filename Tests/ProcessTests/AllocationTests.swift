// How many heap allocations a request costs the real binary, counted by a library that is put before the C library's malloc.
// Counts, not times: they are the same on every machine. Debug builds allocate more, so each has its own budget.

import Foundation
import Testing

@Suite struct AllocationTests {
    #if DEBUG
    private static let budget = 250
    #else
    private static let budget = 13
    #endif

    /// The library, built by the compiler that Swift brings along.
    private static func interposer(in folder: URL) throws -> String {
        let library = folder.appendingPathComponent("allocations.so").path
        let source = Genrec.root.appendingPathComponent("Tests/ProcessTests/Interposers/allocations.c").path
        let arguments = ["clang", "-shared", "-fPIC", "-O2", "-o", library, source]
        let compiled = try Genrec.run(program: "/usr/bin/env", arguments)
        try #require(compiled.status == 0, "\(compiled.standardError)")
        return library
    }

    /// Items that the catalogue does not know: everything but the model.
    @Test(.enabled(if: !Genrec.isSanitized)) func requestOfUnknownItems_StaysWithinItsBudget() throws {
        try Genrec.withTemporaryFolder { folder in
            let counter = folder.appendingPathComponent("count")
            try Data(count: 8).write(to: counter)
            let server = try RunningServer(environment: [
                "LD_PRELOAD": try Self.interposer(in: folder), "GENREC_TEST_ALLOCATIONS": counter.path,
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
            // What is made once is made by then.
            try ask(200)
            // The least of several rounds: what a busy machine adds by waking the loop more often is not the request's.
            var perRequest = Double.infinity
            for _ in 0..<5 where perRequest > Double(Self.budget) {
                let before = try count()
                try ask(1_000)
                perRequest = min(perRequest, (Double(try count() - before) / 1_000).rounded())
            }
            // At least its body: or nothing was counted.
            #expect(perRequest >= 1 && perRequest <= Double(Self.budget), "\(perRequest)")
        }
    }
}
