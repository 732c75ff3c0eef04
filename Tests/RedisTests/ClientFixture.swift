// A client with its own loops, called by tests that wait for answers.

import Locking
import RedisTesting

@testable import Redis

/// A client on its own loops.
final class ClientFixture: Sendable {
    let client: RedisClient
    let reports: Reports
    private let fixture: LoopFixture

    final class Reports: Sendable {
        private let lines = Lock<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    /// - Parameter timeout: in milliseconds. Long for busy machines, unless the test is about time-outs.
    init(_ urls: String, timeout: UInt64 = 20_000, connections: Int = 1, loops: Int = 1) throws {
        var configuration = try RedisConfiguration(urls: urls)
        configuration.timeout = timeout * 1_000_000
        configuration.connections = connections
        let reports = Reports()
        self.reports = reports
        client = try RedisClient(configuration) { reports.add($0) }
        fixture = try LoopFixture(count: loops)
        client.attach(to: fixture.loops)
    }

    /// Sends a request and waits for its result.
    func ask(
        _ commands: [String]...,
        repeatable: Bool = true,
        bulk: Bool = false
    ) async -> Result<[RESPValue], RedisError> {
        await withCheckedContinuation { continuation in
            let request = RedisRequest(
                commands.map { RedisCommand($0) },
                key: commands.first?.dropFirst().first ?? "",
                isRepeatable: repeatable,
                isBulk: bulk
            )
            client.send(request) { continuation.resume(returning: $0) }
        }
    }

    func stop() { fixture.stop() }
}
