// The server under a stand-in for systemd, which passes a listening socket and reads the server's notifications.

import Foundation
import Locking
import Synchronization
import Testing

/// systemd from a service's view: a socket that stays open, and a receiver of datagrams.
private final class StandIn {
    let port: UInt16
    private let listener: Int32
    private let receiver: Int32
    private let path: String

    init(_ folder: URL) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && listen(descriptor, 1_024) == 0
                    && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard bound else { throw Genrec.Failure(description: "no socket to hand over: \(errno)") }
        port = UInt16(bigEndian: address.sin_port)
        path = folder.appendingPathComponent("notify").path
        receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var local = sockaddr_un()
        local.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &local.sun_path) { $0.copyBytes(from: path.utf8) }
        let (own, size) = (receiver, socklen_t(MemoryLayout<sockaddr_un>.size))
        let received = withUnsafePointer(to: local) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(own, $0, size) == 0 }
        }
        guard received else { throw Genrec.Failure(description: "no socket for notifications: \(errno)") }
        // A silent server must fail a test, not hang it.
        setPatience(seconds: 60)
    }

    deinit {
        close(listener)
        close(receiver)
    }

    /// Starts a server. The shell moves the socket from standard input to its descriptor number, and knows the server's
    /// pid.
    func start(_ environment: [String: String] = [:]) throws -> (process: ChildProcess, log: StreamCollector) {
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" serve"
        let errors = Pipe()
        let process = try Genrec.start(
            program: "/bin/sh",
            ["-c", script, Genrec.path],
            environment: ["LISTEN_FDS": "1", "NOTIFY_SOCKET": path].merging(environment) { $1 },
            input: FileHandle(fileDescriptor: listener, closeOnDealloc: false),
            errors: .pipe(errors)
        )
        return (process, StreamCollector(errors.fileHandleForReading))
    }

    /// The next datagram's lines.
    func receive() throws -> [String] {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(receiver, &buffer, buffer.count, 0)
        guard count > 0 else { throw Genrec.Failure(description: "systemd was told nothing: \(errno)") }
        return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Receives until a datagram starts with `line`. Returns that datagram.
    @discardableResult
    func receive(until line: String) throws -> [String] {
        while true {
            let lines = try receive()
            if lines.first == line { return lines }
        }
    }

    /// Receives until no datagram has arrived for this long.
    func receiveUntilSilence(ofSeconds seconds: Int) {
        setPatience(seconds: seconds)
        while (try? receive()) != nil {}
        setPatience(seconds: 60)
    }

    private func setPatience(seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
}

@Suite struct SystemdTests {
    private static let recommendation = "{\"history\":[{\"item\":\"anime-4-01\"}],\"k\":3}"

    @Test func stages_AreNotified_AndTheHandedSocketIsServed() throws {
        try Genrec.withTemporaryFolder { folder in
            let systemd = try StandIn(folder)
            let server = try systemd.start()
            let ready = try systemd.receive()
            #expect(ready.first == "READY=1")
            #expect(ready.last?.contains("demo") == true && ready.last?.contains("127.0.0.1:\(systemd.port)") == true)
            #expect(try TestConnection(port: systemd.port).recommend(Self.recommendation).items().count == 3)
            server.process.signal(SIGHUP)
            let reloading = try systemd.receive()
            #expect(reloading.first == "RELOADING=1")
            #expect(reloading.last?.wholeMatch(of: #/MONOTONIC_USEC=\d+/#) != nil)
            #expect(try systemd.receive() == ["READY=1"])
            server.process.signal(SIGTERM)
            #expect(try systemd.receive().first == "STOPPING=1")
            #expect(server.process.waitUntilExit() == .exited(0), "\(server.log.waitForEnd())")
        }
    }

    /// Each request opens a connection, so a listener that closes for a moment would refuse one.
    @Test func restartUnderLoad_RefusesNobody() throws {
        try Genrec.withTemporaryFolder { folder in
            let systemd = try StandIn(folder)
            var server = try systemd.start()
            try systemd.receive(until: "READY=1")
            let port = systemd.port
            let isOver = Atomic(false)
            let faults = Lock<[String]>([])
            let answered = Atomic(0)
            let callers = DispatchGroup()
            for _ in 0..<4 {
                callers.enter()
                Thread.detachNewThread {
                    defer { callers.leave() }
                    while !isOver.load(ordering: .relaxed) {
                        do {
                            let reply = try TestConnection(port: port).recommend(Self.recommendation)
                            if reply.status != 200 { faults.withLock { $0.append("status \(reply.status)") } }
                            answered.add(1, ordering: .relaxed)
                        } catch {
                            faults.withLock { $0.append("\(error)") }
                        }
                    }
                }
            }
            for _ in 0..<3 {
                let before = answered.load(ordering: .relaxed)
                while answered.load(ordering: .relaxed) < before + 20, server.process.isRunning {}
                server.process.signal(SIGTERM)
                #expect(server.process.waitUntilExit() == .exited(0))
                server = try systemd.start()
                try systemd.receive(until: "READY=1")
            }
            isOver.store(true, ordering: .relaxed)
            callers.wait()
            #expect(faults.withLock { $0 } == [])
            server.process.signal(SIGTERM)
            server.process.waitUntilExit()
        }
    }

    @Test func watchdog_IsFedWhileAllMakeProgress_AndNoLonger() throws {
        try Genrec.withTemporaryFolder { folder in
            let library = try Genrec.interposer("hang", in: folder)
            let brake = folder.appendingPathComponent("hang")
            let systemd = try StandIn(folder)
            let server = try systemd.start([
                "WATCHDOG_USEC": "200000", "LD_PRELOAD": library, "GENREC_TEST_HANG": brake.path,
            ])
            try systemd.receive(until: "READY=1")
            // Idle loops and engines count as alive, too.
            for _ in 0..<20 { #expect(try systemd.receive() == ["WATCHDOG=1"]) }
            try Data().write(to: brake)
            let connection = try TestConnection(port: systemd.port)
            try connection.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            // Five periods: systemd would have killed a hanging server.
            systemd.receiveUntilSilence(ofSeconds: 1)
            try FileManager.default.removeItem(at: brake)
            #expect(try connection.receive().status == 200)
            try systemd.receive(until: "WATCHDOG=1")
            server.process.signal(SIGTERM)
            server.process.waitUntilExit()
            let log = server.log.waitForEnd()
            #expect(log.contains("no progress") && log.contains("http loop 0"), "\(log)")
        }
    }

    @Test func descriptorThatIsNoListener_EndsTheStart() throws {
        let script = "exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve"
        let ended = try Genrec.run(program: "/bin/sh", ["-c", script, Genrec.path])
        #expect(ended.status == 1)
        #expect(ended.standardError.contains("handed over is not a listening stream socket"), "\(ended.standardError)")
    }
}
