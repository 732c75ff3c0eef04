// Replies in one piece, byte by byte, and cut in two at each place.

import Testing

@testable import Load

/// A reply and its parsed content.
struct ReplyCase: Sendable, CustomTestStringConvertible {
    var bytes: String
    var status = 200
    var content = ""
    var keepsAlive = true
    /// The reply ends with the connection.
    var endsByClose = false

    var testDescription: String { bytes.replacing("\r\n", with: "|") }

    static let all = [
        ReplyCase(bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", content: "hello"),
        ReplyCase(bytes: "HTTP/1.1 200\r\ncontent-length:\t 5 \r\n\r\nhello", content: "hello"),
        ReplyCase(bytes: "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", status: 429),
        ReplyCase(bytes: "HTTP/1.1 204 No Content\r\n\r\n", status: 204),
        ReplyCase(bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", status: 304),
        ReplyCase(
            bytes: "HTTP/1.1 503 Service Unavailable\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx",
            status: 503,
            content: "x",
            keepsAlive: false
        ),
        ReplyCase(
            bytes: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            content: "ok",
            keepsAlive: false
        ),
        ReplyCase(bytes: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", content: "ok"),
        ReplyCase(
            bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
            content: "abcde"
        ),
        ReplyCase(bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ReplyCase(
            bytes: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
                + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            content: "ok"
        ),
        ReplyCase(bytes: "HTTP/1.1 200 OK\n\nto the end", content: "to the end", keepsAlive: false, endsByClose: true),
        ReplyCase(
            bytes: "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            content: "ok"
        ),
        ReplyCase(
            bytes: "HTTP/1.1 200 OK\r\nConnection: upgrade, close\r\nContent-Length: 0\r\n\r\n",
            keepsAlive: false
        ),
    ]
}

@Suite struct ReplyParserTests {
    /// A parser's result for several pieces.
    private struct Read: Equatable {
        var status = 0
        var content = ""
        var isComplete = false
        var isCompleteByClose = false
        var keepsAlive = false
        /// Unconsumed bytes.
        var left = 0
    }

    private func read(_ pieces: [ArraySlice<UInt8>], _ parser: inout ReplyParser) throws(ReplyFault) -> Read {
        var read = Read()
        var content: [UInt8] = []
        for piece in pieces {
            let bytes = Array(piece)
            var index = 0
            while index < bytes.count, !read.isComplete {
                let step = try parser.parse(bytes.span.extracting(index..<bytes.count))
                content += bytes[index + step.content.lowerBound..<index + step.content.upperBound]
                index += step.consumed
                read.isComplete = step.isComplete
            }
            read.left += bytes.count - index
        }
        if !read.isComplete { read.isCompleteByClose = parser.endOfStream() }
        read.status = parser.status
        read.content = String(decoding: content, as: UTF8.self)
        read.keepsAlive = parser.keepsAlive
        return read
    }

    /// The bytes whole, one by one, and cut in two at every place.
    private func cuts(of text: String) -> [[ArraySlice<UInt8>]] {
        let bytes = Array(text.utf8)
        return [[bytes[...]], bytes.indices.map { bytes[$0...$0] }]
            + bytes.indices.dropFirst().map { [bytes[..<$0], bytes[$0...]] }
    }

    @Test(arguments: ReplyCase.all) func reply_IsReadTheSame_HoweverItComes(example: ReplyCase) throws {
        for pieces in cuts(of: example.bytes) {
            var parser = ReplyParser()
            let read = try read(pieces, &parser)
            #expect(
                read
                    == Read(
                        status: example.status,
                        content: example.content,
                        isComplete: !example.endsByClose,
                        isCompleteByClose: example.endsByClose,
                        keepsAlive: example.keepsAlive
                    )
            )
        }
    }

    @Test func parserIsReadyForTheNextReply_AfterReset() throws {
        var parser = ReplyParser()
        for example in ReplyCase.all where !example.endsByClose {
            #expect(parser.isAtStart)
            #expect(try read([Array(example.bytes.utf8)[...]], &parser).content == example.content)
            parser.reset()
        }
    }

    @Test func bytesBehindAReply_AreLeftAlone() throws {
        var parser = ReplyParser()
        let read = try read([Array("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP".utf8)[...]], &parser)
        #expect(read.isComplete)
        #expect(read.left == 4)
    }

    @Test(arguments: ReplyCase.all.filter { !$0.endsByClose }) func replyThatIsCutOff_IsNotComplete(
        example: ReplyCase
    ) throws {
        let bytes = Array(example.bytes.utf8)
        for end in bytes.indices {
            var parser = ReplyParser()
            let read = try read([bytes[..<end]], &parser)
            #expect(!read.isComplete)
            #expect(!read.isCompleteByClose)
        }
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH\r\n", "HTTP/2 200 OK\r\n", "HTTP/1.1 2xx OK\r\n", "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 600 No\r\n",
        "HTTP/1.1  200 OK\r\n", "HTTP/1.1 099 No\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\n: no name\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 70_000),
    ]) func whatIsNotHTTP_IsAFault_HoweverItComes(text: String) {
        for pieces in cuts(of: text).prefix(200) {
            #expect(throws: ReplyFault.self) {
                var parser = ReplyParser()
                _ = try read(pieces, &parser)
            }
        }
    }
}
