// A server with a local store that is killed while events arrive.

import Dispatch
import Foundation
import Locking
import Testing

@Suite struct KilledStoreTests {
    /// The calls sent, by caller, and whether each was answered.
    private final class Calls: Sendable {
        private let calls = Lock<[[Bool]]>([])
        private let answered = DispatchSemaphore(value: 0)

        init(callers: Int) { calls.withLock { $0 = Array(repeating: [], count: callers) } }

        /// The number of the next call.
        func begin(_ caller: Int) -> Int {
            calls.withLock { calls in
                calls[caller].append(false)
                return calls[caller].count - 1
            }
        }

        func end(_ caller: Int, _ call: Int) {
            calls.withLock { $0[caller][call] = true }
            answered.signal()
        }

        func wait(answers: Int) { for _ in 0..<answers { answered.wait() } }

        subscript(caller: Int) -> [Bool] { calls.withLock { $0[caller] } }
    }

    private static let callers = 3
    private static let eventsPerCall = 5

    /// At whatever moment the server is killed, every answered call is stored completely, and every unanswered call
    /// either completely or not at all.
    @Test func serverThatIsKilledWhileEventsComeIn_HasEveryAcknowledgedOne() throws {
        try Genrec.withTemporaryFolder { folder in
            let environment = [
                "GENREC_USERS_STORE": "local", "GENREC_USERS_MAX_EVENTS": "1000000",
                "GENREC_USERS_LOCAL_DIRECTORY": folder.appendingPathComponent("users").path,
            ]
            let calls = Calls(callers: Self.callers)
            for round in 1...3 {
                let server = try RunningServer(environment: environment)
                let group = DispatchGroup()
                for caller in 0..<Self.callers {
                    let port = server.port
                    group.enter()
                    Thread.detachNewThread {
                        defer { group.leave() }
                        guard let connection = try? TestConnection(port: port) else { return }
                        while true {
                            let call = calls.begin(caller)
                            let events = (0..<Self.eventsPerCall).map { index in
                                let time = call * Self.eventsPerCall + index
                                return "{\"user_id\":\"u\(caller)\",\"item\":\"i\(time)\",\"timestamp\":\(time)}"
                            }
                            let body = "{\"events\":[\(events.joined(separator: ","))]}"
                            guard let reply = try? connection.post("/events", body), reply.status == 200,
                                reply.text.contains("\"persisted\":true")
                            else { return }
                            calls.end(caller, call)
                        }
                    }
                }
                calls.wait(answers: 20 * round)
                server.signal(SIGKILL)
                _ = server.waitUntilExit()
                group.wait()
            }
            let server = try RunningServer(environment: environment)
            defer { server.stop() }
            let connection = try server.connect()
            for caller in 0..<Self.callers {
                let reply = try connection.get("/users/u\(caller)").json()
                let events = try #require(reply["events"] as? [[String: Any]])
                let times = Set(events.compactMap { $0["timestamp"] as? Int })
                #expect(times.count == events.count)
                for (call, isAnswered) in calls[caller].enumerated() {
                    let first = call * Self.eventsPerCall
                    let kept = times.intersection(first..<first + Self.eventsPerCall).count
                    #expect(
                        kept == Self.eventsPerCall || (!isAnswered && kept == 0),
                        "u\(caller), call \(call): \(kept)"
                    )
                }
            }
        }
    }
}
