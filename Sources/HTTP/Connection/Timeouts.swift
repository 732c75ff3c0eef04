// Time-outs, and how a connection ends: the client shuts its side, disconnects, or the server drains.

extension Connection {
    /// What to do with the socket once as much output as possible has been written.
    enum Ending {
        case none
        /// Shut the write side and continue reading: closing immediately would reset the connection while the client
        /// may still be sending, and the reset can overtake the reply (RFC 9112 §9.6).
        case shutdownWrite
        case close
        /// Close such that the client sees an error.
        case reset
    }

    /// The handshake has finished: all time-outs start now.
    mutating func begin(now: UInt64) {
        mark = now
        outputMark = now
    }

    /// When `timerFired` must be called, on the clock of the events; nil if no time-out applies now.
    var deadline: UInt64? {
        var deadline = output.isEmpty ? nil : outputMark &+ settings.writeStall
        if let limit = inputDeadline { deadline = min(deadline ?? limit, limit) }
        return deadline
    }

    private var inputDeadline: UInt64? {
        switch input {
        case .idle where !output.isEmpty: nil
        case .idle: mark &+ (!isFresh ? settings.idle : closesWhenIdle ? Self.freshGrace : settings.firstByte)
        case .head: mark &+ settings.header
        case .body, .dropping: mark &+ settings.bodyWindow
        case .lingering: mark &+ settings.linger
        case .verdict, .exchange, .stopped, .closed: nil
        }
    }

    /// Applies the time-outs that are due, if any. Call `advance` afterwards.
    mutating func timerFired(now: UInt64) {
        if !output.isEmpty, now >= outputMark &+ settings.writeStall {
            vanished()
            return
        }
        guard let limit = inputDeadline, now >= limit else { return }
        switch input {
        case .idle, .lingering:
            input = .closed
        case .head:
            if hasBegunRequest {
                refuse(Refusal(408, "The head of the request did not arrive in time."))
            } else {
                input = .closed
            }
        case .body, .dropping:
            if windowBytes >= settings.bodyWindowBytes {
                mark = now
                windowBytes = 0
            } else {
                stopBody(Refusal(408, "The body of the request arrived too slowly."))
            }
        case .verdict, .exchange, .stopped, .closed:
            break
        }
    }

    /// The client has shut its write side. It may still read: a half-closed client gets its reply. A client that has
    /// closed altogether looks the same, since both send only a FIN. An interim reply tells them apart: a living
    /// HTTP/1.1 client skips it (RFC 9110 §15.2); a closed one's kernel answers with a reset, which arrives as
    /// `vanished` and cancels the exchange. HTTP/1.0 has no interim replies, so only the reply itself can tell.
    mutating func endOfInput(now: UInt64) {
        guard !inputEnded else { return }
        inputEnded = true
        switch input {
        case .lingering:
            input = .closed
        case .exchange where reply == .awaited && output.isEmpty && request?.isVersion10 == false:
            write("HTTP/1.1 100 Continue\r\n\r\n", now: now)
        default:
            // `advance` decides when it reaches the end of the bytes read.
            break
        }
    }

    /// The client has disconnected: nothing more can be read or written.
    mutating func vanished() {
        guard input != .closed else { return }
        if input == .exchange {
            isCancelPending = true
            if case .streaming = reply {
                records.append(
                    pendingRecord(status: streamStatus, label: streamLabel, isFromHandler: true, end: nil)
                )
            }
        }
        input = .closed
        inputEnded = true
        isTruncated = true
        pendingRefusal = nil
        output.removeAll()
    }

    /// Stops reading and writing, and ends the connection by `shutdownWrite` first. Only before its first request.
    mutating func stop() {
        input = .stopped
        isTruncated = true
        pendingRefusal = nil
        encoder = nil
        output.removeAll()
    }

    /// Waits for no further request. A request being read or answered is finished, and its reply says close. A client
    /// that has just connected is about to send its first request, so it gets `freshGrace` for that.
    mutating func drain(now: UInt64) {
        closesWhenIdle = true
        let isAboutToSend = isFresh && now < mark &+ Self.freshGrace
        if isIdle, !isAboutToSend { input = output.isEmpty ? .closed : .stopped }
    }

    /// How long after connecting a client may send its first request to a server that drains.
    static let freshGrace: UInt64 = 1_000_000_000

    /// What to do with the socket now. `shutdownWrite` is returned once.
    mutating func nextEnding(now: UInt64) -> Ending {
        if input == .stopped, output.isEmpty, pendingRefusal == nil {
            guard !endsByReset else {
                input = .closed
                return .reset
            }
            guard !inputEnded else {
                input = .closed
                return .close
            }
            input = .lingering
            mark = now
            return .shutdownWrite
        }
        return input == .closed ? .close : .none
    }
}
