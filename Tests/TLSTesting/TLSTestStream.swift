// A TLS client over an existing blocking socket.

/// A client's stream after the handshake.
package final class TLSTestStream {
    package let engine: TLSTestEngine
    private let send: ([UInt8]) throws -> Void
    private let receive: () throws -> [UInt8]?
    /// The server has ended the stream with its closure alert.
    package private(set) var isClosed = false

    /// - Parameters:
    ///   - send: sends bytes to the server.
    ///   - receive: waits for bytes; nil at the end of the connection.
    package init(
        _ options: TLSTestOptions,
        send: @escaping ([UInt8]) throws -> Void,
        receive: @escaping () throws -> [UInt8]?
    ) throws {
        engine = try TLSTestEngine(options)
        self.send = send
        self.receive = receive
    }

    /// - Throws: `TLSTestFailure` with OpenSSL's reason, or if the connection ends.
    package func shakeHands() throws {
        try untilDone { try engine.shakeHands() }
    }

    package func write(_ bytes: [UInt8]) throws {
        try engine.write(bytes)
        try flush()
    }

    /// Waits for bytes; nil at the end of the stream, which is orderly if `isClosed`.
    package func read(limit: Int) throws -> [UInt8]? {
        while true {
            let (step, bytes) = try engine.read(limit: limit)
            try flush()
            switch step {
            case .done: return bytes
            case .closed:
                isClosed = true
                return nil
            case .needsInput:
                guard let input = try receive() else { return nil }
                engine.receive(input)
            }
        }
    }

    /// Sends the closure alert and continues to read.
    package func sayClose() throws {
        try engine.sayClose()
        try flush()
    }

    /// Repeats a step of the engine while bytes travel both ways.
    package func untilDone(_ step: () throws -> TLSTestEngine.Step) throws {
        while true {
            let result = Result { try step() }
            // An alert must be sent even if the step failed.
            try flush()
            if try result.get() != .needsInput { return }
            guard let input = try receive() else { throw TLSTestFailure(description: "the connection has ended") }
            engine.receive(input)
        }
    }

    private func flush() throws {
        let output = engine.takeOutput()
        if !output.isEmpty { try send(output) }
    }
}
