// Time, and the ways a connection ends: time-outs, the client's end of input, its disappearance, draining.

extension Connection {
    /// What to do about the socket, once the output has been written as far as it goes.
    enum Ending {
        case none
        /// Shut the write side and go on reading: closing at once would reset the connection while the client may still
        /// be sending, and the reset can overtake the reply (RFC 9112 §9.6).
        case shutdownWrite
        case close
        /// Close such that the client sees an error.
        case reset
    }

    /// The stream is open after a handshake: all time counts from now.
    mutating func begin(now: UInt64) {
        mark = now
        outputMark = now
    }

    /// When `timerFired` wants to be called, in the clock of the events; nil if nothing is limited by time now.
    var deadline: UInt64? {
        var deadline = output.isEmpty ? nil : outputMark &+ settings.writeStall
        if let limit = inputDeadline { deadline = min(deadline ?? limit, limit) }
        return deadline
    }

    private var inputDeadline: UInt64? {
        switch input {
        case .idle: output.isEmpty ? mark &+ (isFresh ? settings.firstByte : settings.idle) : nil
        case .head: mark &+ settings.header
        case .body, .dropping: mark &+ settings.bodyWindow
        case .lingering: mark &+ settings.linger
        case .verdict, .exchange, .stopped, .closed: nil
        }
    }

    /// Time has passed. Does what is due, which may be nothing; `advance` says what follows.
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

    /// The client has shut its write side. It may still read: a half-closed client gets its reply. A client that has gone
    /// altogether looks the same, since both send no more than a FIN. What tells them apart is an interim reply: a
    /// living HTTP/1.1 client skips it (RFC 9110 §15.2), a dead one's kernel answers with a reset, which arrives as
    /// `vanished` and cancels the exchange. HTTP/1.0 knows no interim replies; there the reply itself finds out.
    mutating func endOfInput(now: UInt64) {
        guard !inputEnded else { return }
        inputEnded = true
        switch input {
        case .lingering:
            input = .closed
        case .exchange where reply == .awaited && output.isEmpty && request?.isVersion10 == false:
            write("HTTP/1.1 100 Continue\r\n\r\n", now: now)
        default:
            // `advance` comes to the end of what has been read and decides there.
            break
        }
    }

    /// The client is gone: nothing can be read or written any more.
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

    /// Nothing is to be read or written, and the connection to be closed with care. Before its first request only.
    mutating func stop() {
        input = .stopped
        isTruncated = true
        pendingRefusal = nil
        encoder = nil
        output.removeAll()
    }

    /// No further request is awaited. What is being read or answered is finished, and its reply says close.
    mutating func drain() {
        closesWhenIdle = true
        if isIdle { input = output.isEmpty ? .closed : .stopped }
    }

    /// What to do about the socket now. `shutdownWrite` is said once.
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
