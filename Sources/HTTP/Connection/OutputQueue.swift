// Bytes waiting to be sent to a client. Small replies share one buffer, so that a pipelined burst takes one call; a
// large body is kept separately and sent uncopied in the same call as its head.

import Glibc

/// The output of a connection, in order.
struct OutputQueue {
    /// Bodies up to this size are copied after their head; copying a longer one costs more than a second buffer.
    static let copyLimit = 8_192
    /// The most buffers passed to one call.
    private static let vectorCount = 16

    /// Closed buffers, the first of which may be partly written.
    private var segments: [[UInt8]] = []
    /// Segments before this one are written.
    private var first = 0
    /// Bytes written of the first segment, or of `tail` if there are no segments.
    private var written = 0
    /// The buffer being appended to; comes after all segments.
    private var tail: [UInt8] = []
    /// Bytes not yet written.
    private(set) var count = 0
    /// Bytes appended since the connection began. Marks where a reply ends.
    private(set) var appended: UInt64 = 0

    var isEmpty: Bool { count == 0 }
    /// Bytes taken by the kernel since the connection began.
    var flushed: UInt64 { appended - UInt64(count) }

    /// Appends what `body` appends to the buffer.
    mutating func append(_ body: (inout [UInt8]) -> Void) {
        let before = tail.count
        body(&tail)
        noteAppended(tail.count - before)
    }

    /// Appends a literal.
    mutating func append(_ literal: StaticString) {
        tail.append(literal)
        noteAppended(literal.utf8CodeUnitCount)
    }

    /// Appends a body, uncopied if it is large.
    mutating func append(body: [UInt8]) {
        noteAppended(body.count)
        if body.count <= OutputQueue.copyLimit {
            tail.append(contentsOf: body)
            return
        }
        if !tail.isEmpty {
            segments.append(tail)
            tail = []
        }
        segments.append(body)
    }

    private mutating func noteAppended(_ bytes: Int) {
        count += bytes
        appended += UInt64(bytes)
    }

    /// Calls `body` with the next buffers to write. The queue is not empty.
    func withVector<Result>(_ body: (UnsafeBufferPointer<iovec>) -> Result) -> Result {
        if first == segments.count {
            return tail.withUnsafeBytes { bytes in
                withUnsafePointer(to: OutputQueue.entry(bytes, from: written)) {
                    body(UnsafeBufferPointer(start: $0, count: 1))
                }
            }
        }
        let segmentCount = min(segments.count - first, OutputQueue.vectorCount - 1)
        let hasTail = segmentCount == segments.count - first && !tail.isEmpty
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: OutputQueue.vectorCount) { vector in
            // The arrays' storage does not move while the queue is borrowed: a non-empty array has one heap buffer, and
            // `withUnsafeBytes` gives its address.
            for index in 0..<segmentCount {
                let offset = index == 0 ? written : 0
                segments[first + index].withUnsafeBytes { vector[index] = OutputQueue.entry($0, from: offset) }
            }
            if hasTail { tail.withUnsafeBytes { vector[segmentCount] = OutputQueue.entry($0, from: 0) } }
            let result = body(UnsafeBufferPointer(rebasing: vector[..<(segmentCount + (hasTail ? 1 : 0))]))
            withExtendedLifetime(self) {}
            return result
        }
    }

    private static func entry(_ bytes: UnsafeRawBufferPointer, from offset: Int) -> iovec {
        iovec(
            iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress?.advanced(by: offset)),
            iov_len: bytes.count - offset
        )
    }

    /// The kernel has accepted `count` bytes.
    mutating func wrote(_ bytes: Int) {
        precondition(bytes <= count, "more bytes written than there were")
        count -= bytes
        var left = bytes
        while first < segments.count {
            let segmentLeft = segments[first].count - written
            guard left >= segmentLeft else {
                written += left
                return
            }
            left -= segmentLeft
            written = 0
            segments[first] = []
            first += 1
        }
        segments.removeAll(keepingCapacity: true)
        first = 0
        written += left
        if count == 0 {
            tail.removeAll(keepingCapacity: true)
            written = 0
        }
    }

    /// Discards everything not yet written.
    mutating func removeAll() {
        appended -= UInt64(count)
        segments = []
        tail = []
        first = 0
        written = 0
        count = 0
    }

    /// Takes `spare` as the buffer to append to, if the queue has none.
    mutating func borrowBuffer(from spare: inout [UInt8]) {
        if count == 0, tail.capacity == 0 { swap(&tail, &spare) }
    }

    /// Returns an empty buffer to `spare`, so that idle connections hold none. Frees a buffer larger than `limit`.
    mutating func returnBuffer(to spare: inout [UInt8], limit: Int) {
        guard count == 0 else { return }
        if tail.capacity > spare.capacity, tail.capacity <= limit { swap(&tail, &spare) }
        tail = []
    }
}

extension [UInt8] {
    /// Appends a literal's bytes.
    mutating func append(_ literal: StaticString) {
        append(copying: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Appends a string's bytes.
    mutating func append(text: String) {
        var text = text
        text.withUTF8 { append(copying: $0) }
    }

    /// Appends a few bytes. The array's own function takes longer than the copy itself.
    private mutating func append(copying bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress else { return }
        append(addingCapacity: bytes.count) { span in
            span.withUnsafeMutableBufferPointer { buffer, count in
                guard let base = buffer.baseAddress else { return }
                (base + count).update(from: source, count: bytes.count)
                count += bytes.count
            }
        }
    }

    /// Appends a number ≥ 0 in decimal digits.
    mutating func append(decimal value: Int) {
        append(number: UInt(value), radix: 10)
    }

    /// Appends a number ≥ 0 in hexadecimal digits.
    mutating func append(hexadecimal value: Int) {
        append(number: UInt(value), radix: 16)
    }

    private mutating func append(number: UInt, radix: UInt) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var left = number
            var start = 20
            repeat {
                start -= 1
                let digit = UInt8(truncatingIfNeeded: left % radix)
                digits[start] = digit < 10 ? Byte.zero + digit : 0x57 + digit
                left /= radix
            } while left > 0
            append(contentsOf: UnsafeMutableBufferPointer(rebasing: digits[start...]))
        }
    }
}
