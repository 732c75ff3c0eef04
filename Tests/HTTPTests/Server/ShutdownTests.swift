// Shutdown of a server: announced, drained, stopped. Over real sockets.

import Glibc
import Testing

@testable import HTTP

private func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

@Suite struct ShutdownTests {
    @Test func drain_finishesWhatHasBegun_andClosesTheRest() throws {
        let exchanges = Box<[HTTPExchange]>([])
        let handler = TestHandler { _, exchange in exchanges.update { $0.append(exchange) } }
        let server = try TestServer(loops: 2, handler: handler)
        let idle = try TestClient(server.address)
        let busy = try TestClient(server.address)
        busy.send(get("/"))
        #expect(TestServer.waitUntil { exchanges.value.count == 1 && server.server.connectionCount == 2 })
        let drained = Signal()
        let cut = Box(-1)
        server.server.drain(timeoutNanoseconds: 60_000_000_000) { count in
            cut.value = count
            drained.raise()
        }
        #expect(idle.readToEnd() == "")
        exchanges.value.first?.respond(HTTPResponse(status: 200, body: Array("done".utf8)))
        let reply = busy.readToEnd()
        #expect(reply.contains("\r\nConnection: close\r\n"))
        #expect(reply.hasSuffix("done"))
        busy.close()
        #expect(drained.wait())
        #expect(cut.value == 0)
        #expect(throws: ConnectFailure.self) { try TestClient(server.address) }
    }

    @Test func announcedEnd_acceptsAndAnswers_andSaysClose() throws {
        let server = try TestServer.echoing()
        let kept = try TestClient(server.address)
        kept.send(get("/kept"))
        #expect(!kept.readReply().contains("\r\nConnection: close\r\n"))
        server.server.closeAfterReplies()
        for client in [kept, try TestClient(server.address)] {
            client.send(get("/"))
            let reply = client.readToEnd()
            #expect(reply.hasPrefix("HTTP/1.1 200 ") && reply.contains("\r\nConnection: close\r\n"))
        }
    }

    @Test func socketOfTheServerThatTakesOver_staysWhereItIs() throws {
        let folder = try temporaryFolder()
        defer { rmdir(folder) }
        let path = "\(folder)/socket"
        let handler = TestHandler { _, exchange in exchange.respond(HTTPResponse(status: 200)) }
        let first = try TestServer(listen: [.unix(path: path)], handler: handler)
        // As when a second server takes the path over.
        unlink(path)
        let second = try TestServer(listen: [.unix(path: path)], handler: handler)
        first.server.stop()
        let client = try TestClient(second.address)
        client.send(get("/"))
        #expect(client.readReply().hasPrefix("HTTP/1.1 200 "))
        client.close()
        second.server.stop()
        #expect(access(path, F_OK) != 0)
    }

    @Test func drain_answersWhatWaitsInTheBacklog() throws {
        let entered = Signal()
        let release = Signal()
        let handler = TestHandler { request, exchange in
            if request.head.path == "/block" {
                // Blocks the loop, so that the next client stays in the backlog.
                entered.raise()
                _ = release.wait()
            }
            exchange.respond(HTTPResponse(status: 200, body: Array(request.head.path.utf8)))
        }
        let server = try TestServer(handler: handler)
        let first = try TestClient(server.address)
        first.send(get("/block"))
        #expect(entered.wait())
        let second = try TestClient(server.address)
        second.send(get("/waiting"))
        let drained = Signal()
        server.server.drain(timeoutNanoseconds: 60_000_000_000) { _ in drained.raise() }
        release.raise()
        #expect(first.readReply().hasSuffix("/block"))
        #expect(second.readReply().hasSuffix("/waiting"))
        first.close()
        second.close()
        #expect(drained.wait())
    }

    @Test func drain_cutsWhatIsLeft_whenTheTimeIsOver() throws {
        let cancelled = Signal()
        let delivered = Signal()
        let handler = TestHandler { _, exchange in
            exchange.onCancel { cancelled.raise() }
            delivered.raise()
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(delivered.wait())
        let drained = Signal()
        let cut = Box(-1)
        server.server.drain(timeoutNanoseconds: 50_000_000) { count in
            cut.value = count
            drained.raise()
        }
        #expect(drained.wait())
        #expect(cut.value == 1)
        #expect(cancelled.wait())
        #expect(client.readToEnd() == "")
    }

    @Test func stop_endsAtOnce() throws {
        let delivered = Signal()
        let handler = TestHandler { _, _ in delivered.raise() }
        let server = try TestServer(loops: 3, handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(delivered.wait())
        server.server.stop()
        #expect(client.readToEnd() == "")
        #expect(server.server.connectionCount == 0)
        server.server.stop()
    }

    @Test func stop_mayBeCalledOnALoop() throws {
        let box = Box<HTTPServer?>(nil)
        let handler = TestHandler { _, _ in box.value?.stop() }
        let server = try TestServer(handler: handler)
        box.value = server.server
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(client.readToEnd() == "")
        box.value = nil
    }
}

/// Sockets opened by another process.
@Suite struct HandedSocketTests {
    @Test func connectionsMadeBetweenTwoServers_AreAnsweredByTheSecond() throws {
        let opened = try ListenSocket.open(.tcp(host: "127.0.0.1", port: 0), count: 1)
        let kept = opened.sockets[0].fd
        defer { close(kept) }
        func serve() throws -> TestServer {
            let copy = dup(kept)
            return try .echoing(listen: [], loops: 2) { $0.handedSockets = [copy] }
        }
        var server: TestServer? = try serve()
        #expect(server?.addresses == [opened.bound])
        let first = try TestClient(opened.bound)
        first.send(get("/first"))
        #expect(first.readReply().hasSuffix("/first 0"))
        server?.server.stop()
        server = nil
        let between = try TestClient(opened.bound)
        between.send(get("/between"))
        server = try serve()
        #expect(between.readReply().hasSuffix("/between 0"))
    }

    @Test func fileOfAHandedUNIXSocket_Stays() throws {
        let path = "/tmp/genrec-handed-\(getpid())-\(UInt64.random(in: 0 ... .max)).sock"
        let opened = try ListenSocket.open(.unix(path: path), count: 1)
        defer { unlink(path) }
        let server = try TestServer.echoing(listen: []) { $0.handedSockets = [opened.sockets[0].fd] }
        #expect(server.addresses == [.unix(path: path)])
        server.server.stop()
        #expect(access(path, F_OK) == 0)
    }

    @Test(arguments: [SOCK_STREAM, SOCK_DGRAM]) func socketThatDoesNotListen_IsRefused(_ kind: __socket_type) throws {
        let fd = socket(AF_INET, Int32(kind.rawValue), 0)
        defer { close(fd) }
        #expect(throws: HTTPError.self) { try TestServer.echoing(listen: []) { $0.handedSockets = [fd] } }
    }

    @Test func loops_TakeTurnsWhenPoked() throws {
        let server = try TestServer.echoing(loops: 2)
        for _ in 0..<5 {
            let before = server.server.turnsOfLoops
            server.server.pokeLoops()
            #expect(TestServer.waitUntil { zip(server.server.turnsOfLoops, before).allSatisfy { $0 > $1 } })
        }
    }
}
