// The client against a server that cuts, stalls, gives wrong answers and redirects. Tests wait for events, never for
// times.

import Foundation
import RedisTesting
import Testing

@testable import Redis

@Suite struct RedisClientTests {
    private static func text(_ words: [RESPValue]) -> [String?] { words.map(\.string) }

    /// Answers a word with the word itself.
    private static let echo: @Sendable (Int, [String]) -> ScriptedRedis.Answer = { _, words in
        let word = words.last ?? ""
        return .send("$\(word.utf8.count)\r\n\(word)\r\n")
    }

    @Test func requests_ArePipelined_AndAnsweredInTheirOrder() async throws {
        let server = try ScriptedRedis(Self.echo)
        let fixture = try ClientFixture(server.url)
        let answers = await withTaskGroup(of: (Int, Result<[RESPValue], RedisError>).self) { group in
            for number in 0..<500 {
                group.addTask { (number, await fixture.ask(["GET", "a\(number)"], ["GET", "b\(number)"])) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for number in 0..<500 {
            #expect(try Self.text(#require(answers[number]).get()) == ["a\(number)", "b\(number)"])
        }
        #expect(server.connectionCount == 1)
    }

    @Test func errorsOfCommands_AreAnswers() async throws {
        let server = try ScriptedRedis { _, _ in .send("-WRONGTYPE not a list\r\n") }
        let fixture = try ClientFixture(server.url)
        #expect(try await fixture.ask(["LRANGE", "k", "0", "-1"]).get() == [.error("WRONGTYPE not a list")])
    }

    @Test func cutConnection_FailsWrites_AndSendsReadsAgain() async throws {
        let server = try ScriptedRedis { connection, words in
            connection == 0 ? .cut("$9\r\nhalf") : Self.echo(connection, words)
        }
        let fixture = try ClientFixture(server.url)
        #expect(try await fixture.ask(["GET", "k"]).get() == [.text(Array("k".utf8)[...])])
        server.answer { connection, words in connection == 1 ? .cut("") : Self.echo(connection, words) }
        await #expect(throws: RedisError.self) { try await fixture.ask(["RPUSH", "k", "v"], repeatable: false).get() }
        #expect(server.commands.filter { $0.first == "RPUSH" }.count == 1)
        #expect(try await fixture.ask(["GET", "k"]).get() == [.text(Array("k".utf8)[...])])
    }

    /// A late answer is never taken for the answer to another request.
    @Test func stalledAnswer_FailsItsRequest_AndEndsTheConnection() async throws {
        let server = try ScriptedRedis { connection, words in
            connection == 0 ? .silence : Self.echo(connection, words)
        }
        let fixture = try ClientFixture(server.url, timeout: 100)
        let failed = await fixture.ask(["RPUSH", "k", "v"], repeatable: false)
        #expect(failed == .failure(RedisError("the store \(server.address) did not answer in time")))
        // The breaker stays open until the client reaches the server again.
        var answer = await fixture.ask(["GET", "later"])
        while case .failure = answer { answer = await fixture.ask(["GET", "later"]) }
        #expect(try Self.text(answer.get()) == ["later"])
        #expect(server.connectionCount >= 2)
        #expect(fixture.reports.all.count >= 2 && fixture.reports.all.last?.hasSuffix("is available again") == true)
        #expect(fixture.client.openBreakers == 0)
    }

    @Test(arguments: ["?\r\n", "$5\r\nabcdefgh\r\n", "*1000000000\r\n", "$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"])
    func lies_EndTheConnection(_ lie: String) async throws {
        let server = try ScriptedRedis { connection, words in
            connection == 0 ? .send(lie) : Self.echo(connection, words)
        }
        let fixture = try ClientFixture(server.url)
        _ = await fixture.ask(["RPUSH", "k", "v"], repeatable: false)
        var answer = await fixture.ask(["GET", "k"])
        while case .failure = answer { answer = await fixture.ask(["GET", "k"]) }
        #expect(try Self.text(answer.get()) == ["k"])
        #expect(server.connectionCount >= 2)
    }

    @Test func pushesAndAttributes_AreNoAnswers() async throws {
        let server = try ScriptedRedis { _, _ in .send(">2\r\n+invalidate\r\n_\r\n|1\r\n+a\r\n+b\r\n+yes\r\n") }
        let fixture = try ClientFixture(server.url)
        #expect(try await Self.text(fixture.ask(["GET", "k"]).get()) == ["yes"])
    }

    @Test func serverThatIsAway_IsReported_AndFoundAgain() async throws {
        let server = try ScriptedRedis(listens: false, Self.echo)
        let fixture = try ClientFixture(server.url)
        let reason = "the store \(server.address) cannot be reached: Connection refused"
        #expect(await fixture.ask(["GET", "k"]) == .failure(RedisError(reason)))
        #expect(await fixture.ask(["GET", "k"]) == .failure(RedisError("the store \(server.address) is unavailable")))
        #expect(fixture.client.openBreakers == 1)
        server.listen()
        var answer = await fixture.ask(["GET", "k"])
        while case .failure = answer {
            // Lets the client's own attempt run.
            await Task.yield()
            answer = await fixture.ask(["GET", "k"])
        }
        #expect(fixture.client.openBreakers == 0)
        #expect(fixture.reports.all == [reason, "the store \(server.address) is available again"])
    }

    @Test func moved_IsFollowed_AndRemembered() async throws {
        let second = try ScriptedRedis(Self.echo)
        let first = try ScriptedRedis { _, words in
            words.first == "CLUSTER"
                ? .send("-ERR not now\r\n") : .send("-MOVED \(RedisSlot.of(words[1])) 127.0.0.1:\(second.port)\r\n")
        }
        let fixture = try ClientFixture(first.url)
        #expect(try await Self.text(fixture.ask(["GET", "k"], ["GET", "k"]).get()) == ["k", "k"])
        #expect(try await Self.text(fixture.ask(["GET", "k"]).get()) == ["k"])
        #expect(first.commands.filter { $0.first == "GET" }.count == 2)
    }

    @Test func mapOfSlots_IsAskedFor_AndUsed() async throws {
        let second = try ScriptedRedis(Self.echo)
        let first = try ScriptedRedis { _, words in
            words.first == "CLUSTER"
                ? .send("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:\(second.port)\r\n")
                : .send("-MOVED \(RedisSlot.of(words[1])) :\(second.port)\r\n")
        }
        second.answer { _, words in
            words.first == "CLUSTER"
                ? .send("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:\(second.port)\r\n") : Self.echo(0, words)
        }
        let fixture = try ClientFixture(first.url)
        #expect(try await Self.text(fixture.ask(["GET", "k"]).get()) == ["k"])
        while !(first.commands + second.commands).contains(["CLUSTER", "SLOTS"]) {
            _ = await fixture.ask(["GET", "k"])
        }
        // Once the map has arrived, keys of other slots go directly to the right node.
        var redirected = -1
        while redirected != first.commands.count {
            redirected = first.commands.count
            #expect(try await Self.text(fixture.ask(["GET", "other\(redirected)"]).get()) == ["other\(redirected)"])
        }
    }

    @Test func ask_IsFollowedOnce_BehindAsking() async throws {
        let second = try ScriptedRedis { _, words in words.first == "ASKING" ? .send("+OK\r\n") : Self.echo(0, words) }
        let first = try ScriptedRedis { _, words in
            words.first == "CLUSTER"
                ? .send("-ERR\r\n") : .send("-ASK \(RedisSlot.of(words[1])) 127.0.0.1:\(second.port)\r\n")
        }
        let fixture = try ClientFixture(first.url)
        for _ in 0..<2 { #expect(try await Self.text(fixture.ask(["GET", "k"]).get()) == ["k"]) }
        #expect(second.commands == [["ASKING"], ["GET", "k"], ["ASKING"], ["GET", "k"]])
        #expect(first.commands.filter { $0.first == "GET" }.count == 2)
    }

    /// Commands executed before the slot moved are not executed again.
    @Test func slotThatMovesWithinARequest_TakesTheRestAlone() async throws {
        let second = try ScriptedRedis { _, _ in .send(":1\r\n") }
        let first = try ScriptedRedis { _, words in
            switch words.first {
            case "CLUSTER": .send("-ERR\r\n")
            case "RPUSH": .send(":7\r\n")
            default: .send("-MOVED \(RedisSlot.of(words[1])) 127.0.0.1:\(second.port)\r\n")
            }
        }
        let fixture = try ClientFixture(first.url)
        let answer = await fixture.ask(
            ["RPUSH", "k", "v"],
            ["LTRIM", "k", "-3", "-1"],
            ["EXPIRE", "k", "9"],
            repeatable: false
        )
        #expect(try answer.get() == [.integer(7), .integer(1), .integer(1)])
        #expect(
            second.commands.filter { $0.first != "CLUSTER" } == [["LTRIM", "k", "-3", "-1"], ["EXPIRE", "k", "9"]]
        )
    }

    @Test func nodesThatNameEachOther_AreNotFollowedForEver() async throws {
        let ports = Ports()
        let script: @Sendable (Int) -> @Sendable (Int, [String]) -> ScriptedRedis.Answer = { other in
            { _, words in
                words.first == "CLUSTER"
                    ? .send("-ERR\r\n") : .send("-MOVED \(RedisSlot.of(words[1])) 127.0.0.1:\(ports[other])\r\n")
            }
        }
        let servers = try [ScriptedRedis(script(1)), ScriptedRedis(script(0))]
        ports.set(servers.map(\.port))
        let fixture = try ClientFixture(servers[0].url)
        let answer = await fixture.ask(["GET", "k"])
        #expect(answer == .failure(RedisError("the store's nodes redirect in a loop")))
    }

    @Test(arguments: ["TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN"])
    func putOff_IsTriedAgain_WithinTheTime(_ code: String) async throws {
        let counter = Ports()
        let server = try ScriptedRedis { _, words in
            counter.increment() < 3 ? .send("-\(code) wait\r\n") : Self.echo(0, words)
        }
        let fixture = try ClientFixture(server.url)
        #expect(try await Self.text(fixture.ask(["RPUSH", "k", "v"], repeatable: false).get()) == ["v"])
        server.answer { _, _ in .send("-\(code) wait\r\n") }
        let short = try ClientFixture(server.url, timeout: 200)
        let answer = await short.ask(["GET", "k"])
        #expect(answer == .failure(RedisError("the store's cluster is not ready")))
    }

    @Test func endedLoops_FailWhatIsAsked() async throws {
        let server = try ScriptedRedis { _, _ in .silence }
        let fixture = try ClientFixture(server.url, timeout: 600_000)
        async let waiting = fixture.ask(["GET", "k"])
        while server.commands.isEmpty { await Task.yield() }
        fixture.stop()
        let ended = await waiting
        #expect(throws: RedisError.self) { try ended.get() }
        await #expect(throws: RedisError.self) { try await fixture.ask(["GET", "k"]).get() }
    }
}

/// Ports that a script reads but that are known only later.
final class Ports: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [UInt16] = []
    private var count = 0

    subscript(index: Int) -> UInt16 { lock.withLock { values[index] } }
    func set(_ values: [UInt16]) { lock.withLock { self.values = values } }
    func increment() -> Int {
        lock.withLock {
            count += 1
            return count
        }
    }
}
