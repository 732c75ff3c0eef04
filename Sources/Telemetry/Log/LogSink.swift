// Where finished log lines go. Whoever logs puts a line in a bounded queue and goes on; one thread writes the queue to a
// file descriptor. So a log that nobody reads, a full disk or a slow terminal costs lines, which are counted, and never
// holds up a request, a loop or an engine.

import Dispatch
import Glibc
import Logging
import Synchronization

/// A file descriptor that takes whole lines, written asynchronously.
package final class LogSink: Sendable {
    private struct State {
        /// Lines that wait, each with the line feed that ends it.
        var lines: [UInt8] = []
        /// Bytes of the lines that are being written.
        var bytesInWriting = 0
        /// The writer runs, or is about to; or it must not run yet.
        var isScheduled: Bool
        /// Lines lost since the log last said how many were.
        var unreportedLosses: UInt64 = 0
        var losses: UInt64 = 0
        /// The last write stopped within a line.
        var isWithinLine = false

        mutating func lose(_ count: Int) {
            unreportedLosses += UInt64(count)
            losses += UInt64(count)
        }
    }

    private static let lineFeed = UInt8(ascii: "\n")
    /// A buffer that has grown beyond this is given up once it is empty.
    private static let spareBytes = 65_536

    /// How the sink's lines are written; a record's bytes are made by whoever logs it.
    let format: LogFormat
    private let descriptor: Int32
    private let queueBytes: Int
    private let state: Mutex<State>
    /// Serial, so that lines keep their order. Dispatch gives it a thread of its own for as long as a write blocks.
    private let writer = DispatchQueue(label: "genrec.log", qos: .utility)

    /// A sink over a descriptor that somebody else owns and keeps open.
    ///
    /// - Parameters:
    ///   - queueBytes: lines that wait or are being written have at most so many bytes; further lines are lost.
    ///   - isHeld: nothing is written before `release`.
    package init(descriptor: Int32, format: LogFormat, queueBytes: Int = 4 << 20, isHeld: Bool = false) {
        self.descriptor = descriptor
        self.format = format
        self.queueBytes = queueBytes
        state = Mutex(State(isScheduled: isHeld))
    }

    /// Queues one line, which ends with a line feed and has no other. Never waits for the descriptor.
    func write(_ line: [UInt8]) {
        let mustSchedule = state.withLock { state in
            guard state.lines.count + state.bytesInWriting + line.count <= queueBytes else {
                state.lose(1)
                return false
            }
            state.lines.append(contentsOf: line)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { schedule() }
    }

    /// Begins to write what a sink that `isHeld` has queued. Does nothing the second time. Not for other sinks.
    package func release() { schedule() }

    /// Forgets what waits to be written.
    package func discard() { state.withLock { $0.lines = [] } }

    /// Waits until every line that was queued before is written, for at most `timeout`; false if that was not enough.
    @discardableResult
    package func flush(timeout: Duration) -> Bool {
        let marker = DispatchWorkItem {}
        writer.async(execute: marker)
        return marker.wait(timeout: .now() + .nanoseconds(Int(timeout / .nanoseconds(1)))) == .success
    }

    /// Lines that were lost: the queue was full, or the descriptor did not take them.
    package var lostLines: UInt64 { state.withLock { $0.losses } }

    /// Adds the sink's counter, `genrec_log_dropped_total`.
    package func register(in registry: MetricRegistry) {
        registry.counter(
            "genrec_log_dropped_total",
            help: "Log lines that were lost: the queue was full, or they could not be written.",
            read: { [self] in Double(lostLines) }
        )
    }

    // MARK: The writer

    private func schedule() { writer.async { self.writeQueue() } }

    /// Writes until nothing waits. Losses are reported as soon as a write has succeeded after them.
    private func writeQueue() {
        var lines: [UInt8] = []
        var canWrite = false
        while true {
            let losses: UInt64? = state.withLock { state in
                guard !state.lines.isEmpty || canWrite && state.unreportedLosses > 0 else {
                    state.isScheduled = false
                    return nil
                }
                swap(&state.lines, &lines)
                state.bytesInWriting = lines.count
                return state.unreportedLosses
            }
            guard let losses else { return }
            canWrite = write(batch: lines)
            if canWrite, losses > 0, write(all: report(of: losses)).isEmpty {
                state.withLock { $0.unreportedLosses -= losses }
            }
            lines.removeAll(keepingCapacity: lines.capacity <= Self.spareBytes)
        }
    }

    /// Writes the lines of a batch. False if some could not be written; they are counted as lost.
    private func write(batch lines: [UInt8]) -> Bool {
        let unwritten = write(all: lines)
        guard !unwritten.isEmpty else { return true }
        state.withLock { state in
            state.lose(unwritten.count { $0 == Self.lineFeed })
            state.bytesInWriting = 0
        }
        return false
    }

    /// Writes lines, after the end of a line that an earlier write broke off. Returns the bytes that could not be written.
    private func write(all lines: [UInt8]) -> ArraySlice<UInt8> {
        if state.withLock({ $0.isWithinLine }), !writeToEnd([Self.lineFeed]).isEmpty { return lines[...] }
        let rest = writeToEnd(lines[...])
        let isWithinLine = rest.startIndex > 0 && lines[rest.startIndex - 1] != Self.lineFeed
        state.withLock { $0.isWithinLine = isWithinLine }
        return rest
    }

    /// Writes bytes. Returns those that the descriptor did not take.
    private func writeToEnd(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var rest = bytes
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
                state.withLock { $0.bytesInWriting = max(0, $0.bytesInWriting - written) }
            } else if written < 0, errno == EAGAIN {
                // Somebody who shares the descriptor has made it non-blocking.
                var readiness = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&readiness, 1, -1)
            } else if written == 0 || errno != EINTR {
                return rest
            }
        }
        return rest
    }

    private func report(of losses: UInt64) -> [UInt8] {
        LogLine(
            timestamp: .now(),
            level: .warning,
            logger: "genrec",
            message: "log lines were lost",
            metadata: ["log.dropped": .stringConvertible(losses)]
        ).bytes(format)
    }
}
