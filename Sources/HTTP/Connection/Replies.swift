// Writes replies (whole, streamed, or from HTTP itself) and keeps their records.

extension Connection {
    /// The handler rejects the request with this reply. A short body is read and dropped; otherwise the connection
    /// closes after the reply. A client that waits for 100 may or may not send the body after a final status, so that
    /// connection closes too (RFC 9110 §10.1.1).
    mutating func reject(_ response: HTTPResponse, date: DateField, now: UInt64) {
        guard input == .verdict, let request else { return }
        requestAt = now
        switch request.framing {
        case .none:
            writeReply(response, isFromHandler: true, date: date, now: now)
        case .length(let length) where length <= settings.limits.droppedBodyBytes && !request.expectsContinue:
            let keeps = writeWhole(response, isFromHandler: true, rejectedBytes: length, date: date, now: now)
            if keeps {
                beginBody(request.framing, maximumBytes: length, as: .dropping, now: now)
            } else {
                input = .stopped
            }
        case .length, .chunked:
            var closing = response
            closing.closesConnection = true
            writeReply(closing, isFromHandler: true, date: date, now: now)
        }
    }

    /// The reply to a request that HTTP refuses. The connection closes after it.
    mutating func reply(toRefusal response: HTTPResponse, date: DateField, now: UInt64) {
        guard input == .stopped else { return }
        requestAt = now
        var closing = response
        closing.closesConnection = true
        writeReply(closing, isFromHandler: false, date: date, now: now)
    }

    /// Answers the open exchange with a whole reply.
    mutating func respond(_ response: HTTPResponse, date: DateField, now: UInt64) {
        guard input == .exchange, reply == .awaited else { return }
        writeReply(response, isFromHandler: true, date: date, now: now)
    }

    private mutating func writeReply(_ response: HTTPResponse, isFromHandler: Bool, date: DateField, now: UInt64) {
        let keeps = writeWhole(response, isFromHandler: isFromHandler, date: date, now: now)
        finishReply(keeps: keeps, now: now)
    }

    /// Writes head and body and records the reply. True if the connection stays open.
    private mutating func writeWhole(
        _ response: HTTPResponse,
        isFromHandler: Bool,
        rejectedBytes: Int = 0,
        date: DateField,
        now: UInt64
    ) -> Bool {
        let hasContent = response.status != 204 && response.status != 304
        let keeps = keepsAlive(rejectedBytes: rejectedBytes) && !response.closesConnection
        writeHead(
            status: response.status,
            headers: response.headers,
            framing: hasContent ? .length(response.body.count) : .none,
            keeps: keeps,
            date: date,
            now: now
        )
        if hasContent, request?.method != .head { output.append(body: response.body) }
        account(
            status: response.status,
            label: response.label,
            isFromHandler: isFromHandler,
            end: output.appended
        )
        return keeps
    }

    /// Both the client and the server want to keep the connection open.
    private mutating func keepsAlive(rejectedBytes: Int = 0) -> Bool {
        guard request?.keepsAlive ?? false else { return false }
        return !(closesWhenIdle || settings.isEnding) || owesReplies(rejectedBytes: rejectedBytes)
    }

    private mutating func writeHead(
        status: Int,
        headers: HTTPFields,
        framing: ReplyFraming,
        keeps: Bool,
        date: DateField,
        now: UInt64
    ) {
        if output.isEmpty { outputMark = now }
        replyStart = output.appended
        let isVersion10 = request?.isVersion10 ?? false
        let head = ReplyHead(status: status, framing: framing, keepsAlive: keeps, isVersion10: isVersion10)
        var leftOut: String?
        let note = request?.note
        output.append { leftOut = head.encode(headers, note: note, date: date, into: &$0) }
        if let leftOut { leftOutField = leftOut }
    }

    private mutating func finishReply(keeps: Bool, now: UInt64) {
        encoder = nil
        if keeps {
            becomeIdle(now: now)
        } else {
            reply = .none
            input = .stopped
        }
    }

    // MARK: Streamed

    /// Writes the head of a streamed reply. Its content is chunked in HTTP/1.1 and ends with the connection in
    /// HTTP/1.0.
    mutating func start(status: Int, headers: HTTPFields, label: Int, date: DateField, now: UInt64) {
        guard input == .exchange, reply == .awaited, let request else { return }
        var framing = request.isVersion10 ? ReplyFraming.untilClose : .chunked
        if status == 204 || status == 304 { framing = .none }
        streamLabel = label
        streamStatus = status
        streamKeeps = keepsAlive() && framing != .untilClose
        let keeps = streamKeeps
        var headers = headers
        let compression = ReplyCompression(settings: settings.compression, accepted: request.acceptedCodings)
        encoder = framing == .none ? nil : compression.stream(&headers)
        writeHead(status: status, headers: headers, framing: framing, keeps: keeps, date: date, now: now)
        reply = .streaming(framing, dropsContent: request.method == .head || framing == .none)
    }

    /// Sends content of the streamed reply. An empty piece is skipped: as a chunk it would end the body.
    mutating func send(_ content: [UInt8], now: UInt64) {
        guard input == .exchange, case .streaming(let framing, let dropsContent) = reply, !dropsContent,
            !content.isEmpty
        else { return }
        var piece = content
        if let encoder {
            piece = []
            encoder.encode(content, into: &piece)
        }
        write(piece, framing, now: now)
    }

    private mutating func write(_ content: [UInt8], _ framing: ReplyFraming, now: UInt64) {
        if output.isEmpty { outputMark = now }
        if framing == .chunked {
            output.append { tail in
                tail.append(hexadecimal: content.count)
                tail.append("\r\n")
            }
            output.append(body: content)
            output.append("\r\n")
        } else {
            output.append(body: content)
        }
    }

    /// The streamed reply is complete.
    mutating func finish(now: UInt64) {
        guard input == .exchange, case .streaming(let framing, let dropsContent) = reply else { return }
        if !dropsContent {
            if let encoder {
                var end: [UInt8] = []
                encoder.finish(into: &end)
                write(end, framing, now: now)
            }
            if framing == .chunked { write("0\r\n\r\n", now: now) }
        }
        account(status: streamStatus, label: streamLabel, isFromHandler: true, end: output.appended)
        finishReply(keeps: streamKeeps, now: now)
    }

    /// The streamed reply cannot be completed. Content sent so far is still written; then the connection closes without
    /// the last chunk, so that the client sees the truncation (RFC 9112 §8). In HTTP/1.0 closing marks a complete
    /// reply, so there the connection is reset, which drops what the kernel has not sent yet.
    mutating func abort(now: UInt64) {
        guard input == .exchange, case .streaming(let framing, _) = reply else { return }
        endsByReset = framing == .untilClose
        isTruncated = true
        account(status: streamStatus, label: streamLabel, isFromHandler: true, end: nil)
        finishReply(keeps: false, now: now)
    }

    // MARK: Account

    /// The record of a reply that has yet to be written out; `end` is nil if it was cut short.
    func pendingRecord(status: Int, label: Int, isFromHandler: Bool, end: UInt64?) -> PendingRecord {
        let record = ReplyRecord(
            method: request?.method,
            status: status,
            label: label,
            isFromHandler: isFromHandler,
            byteCount: Int(output.appended - replyStart),
            durationNanoseconds: 0,
            isComplete: false,
            note: request?.note
        )
        return PendingRecord(record: record, end: end, began: requestAt)
    }

    private mutating func account(status: Int, label: Int, isFromHandler: Bool, end: UInt64?) {
        records.append(pendingRecord(status: status, label: label, isFromHandler: isFromHandler, end: end))
    }

    /// The next reply that has ended: written out, or cut short.
    mutating func nextRecord(now: UInt64) -> ReplyRecord? {
        guard let first = records.first else { return nil }
        let isWritten = first.end.map { $0 <= output.flushed } ?? false
        let isOver = isWritten || input == .closed || (first.end == nil && output.isEmpty)
        guard isOver else { return nil }
        records.removeFirst()
        var record = first.record
        record.isComplete = isWritten
        record.durationNanoseconds = now > first.began ? now - first.began : 0
        return record
    }

    /// The kernel has accepted `count` bytes of the output.
    mutating func wrote(_ count: Int, now: UInt64) {
        output.wrote(count)
        outputMark = now
    }
}
