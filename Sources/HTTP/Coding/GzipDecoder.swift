// Inflates the body of a request as it arrives (gzip: RFC 1952, RFC 9110 §8.4.1.3). Memory is bounded by zlib's window
// and one output buffer. The output has an absolute limit and a limit on its ratio to the input.

import CZlib

/// The inflater of one body. A class for zlib, which keeps a pointer to its state's address.
final class GzipDecoder {
    /// Content up to this size may have any ratio: a short body of one repeated item is not an attack.
    static let ratioFloor = 65_536
    /// The ratio is checked after each further output of this many bytes, and at the end.
    private static let quantum = 16_384
    /// The first byte of every member (RFC 1952 §2.3.1).
    private static let firstByte: UInt8 = 0x1F

    private enum Place {
        /// No byte has arrived.
        case start
        case member
        /// After a member. Another may follow (RFC 1952 §2.2).
        case betweenMembers
    }

    private let stream: UnsafeMutablePointer<z_stream>
    private let limits: HTTPLimits
    private var place = Place.start
    /// Bytes of the coded body that zlib has consumed, and bytes of content that it has produced.
    private var consumed = 0
    private var produced = 0

    /// nil if zlib cannot allocate its state.
    init?(limits: HTTPLimits) {
        self.limits = limits
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Adding 16 to the window bits selects gzip only.
        let status = inflateInit2_(stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Inflates the next bytes of the body and appends the output to `content`.
    ///
    /// - Throws: 400 with the position if the body is not a gzip stream; 413 beyond a limit; 503 if out of memory.
    func decode(_ bytes: Span<UInt8>, into content: inout [UInt8]) throws(Refusal) {
        let refusal = bytes.withUnsafeBufferPointer { source in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: GzipDecoder.quantum) { target in
                decode(source, through: target, into: &content)
            }
        }
        if let refusal { throw refusal }
    }

    /// Ends the body.
    ///
    /// - Throws: 400 if the gzip stream is incomplete; 413 beyond the limit on the ratio.
    func finish() throws(Refusal) {
        // An empty body is accepted as empty content.
        if place == .member {
            throw Refusal(400, "The gzip content of the request ends too early, after \(consumed) bytes.")
        }
        if exceedsRatio { throw ratioRefusal }
    }

    private func decode(
        _ source: UnsafeBufferPointer<UInt8>,
        through target: UnsafeMutableBufferPointer<UInt8>,
        into content: inout [UInt8]
    ) -> Refusal? {
        var used = 0
        while true {
            if place != .member {
                guard used < source.count else { return nil }
                if place == .betweenMembers {
                    guard source[used] == GzipDecoder.firstByte else {
                        return Refusal(
                            400,
                            "The gzip content of the request has data after its end, at byte \(consumed)."
                        )
                    }
                    inflateReset(stream)
                }
                place = .member
            }
            // Up to the next check of the ratio, and at most one byte beyond the limit.
            let room = min(
                GzipDecoder.quantum - produced % GzipDecoder.quantum,
                limits.inflatedBodyBytes - produced + 1
            )
            // `source` is one read, far below 4 GiB.
            stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress?.advanced(by: used))
            stream.pointee.avail_in = UInt32(truncatingIfNeeded: source.count - used)
            stream.pointee.next_out = target.baseAddress
            stream.pointee.avail_out = UInt32(truncatingIfNeeded: room)
            let status = inflate(stream, Z_NO_FLUSH)
            let taken = source.count - used - Int(stream.pointee.avail_in)
            let given = room - Int(stream.pointee.avail_out)
            used += taken
            consumed += taken
            produced += given
            guard produced <= limits.inflatedBodyBytes else {
                return Refusal(
                    413,
                    "The gzip content of the request inflates to more than \(limits.inflatedBodyBytes) bytes."
                )
            }
            content.append(contentsOf: target[..<given])
            if given > 0, produced % GzipDecoder.quantum == 0, exceedsRatio { return ratioRefusal }
            switch status {
            case Z_OK:
                // zlib has consumed all input and left room, so it has no more output.
                if used == source.count, given < room { return nil }
            case Z_BUF_ERROR:
                return nil
            case Z_STREAM_END:
                place = .betweenMembers
            case Z_MEM_ERROR:
                return Refusal(503, "There is not enough memory to inflate the content of the request.")
            default:
                return damage
            }
        }
    }

    /// The position and cause of an error in the stream. zlib may hold unprocessed bytes: their bits are in the lower
    /// part of `data_type`.
    private var damage: Refusal {
        let place = (consumed * 8 - Int(stream.pointee.data_type & 63)) / 8
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "not gzip"
        return Refusal(400, "The gzip content of the request is damaged at byte \(place): \(reason).")
    }

    private var exceedsRatio: Bool {
        // Both factors are bounded by `HTTPLimits.validate`, so that the product is below 2⁶³.
        produced > GzipDecoder.ratioFloor && produced > limits.inflationRatio * consumed
    }

    private var ratioRefusal: Refusal {
        Refusal(413, "The gzip content of the request inflates to more than \(limits.inflationRatio) times its size.")
    }
}
