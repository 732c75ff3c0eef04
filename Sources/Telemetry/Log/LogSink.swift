// Accepts finished log lines. Logging puts a line into a bounded queue and returns; one thread writes the queue to a
// file descriptor. An unread pipe, a full disk or a slow terminal therefore costs lines, which are counted, but never
// delays a request, a loop or an engine.

import Dispatch
import Glibc
import Locking
import Logging

/// A file descriptor to which whole lines are written asynchronously.
package final class LogSink: Sendable {
    private enum WriterState {
        /// Nothing is written before `release`.
        case held
        /// Nothing to write.
        case idle
        /// Writing starts once the first line has waited for others.
        case delayed
        /// Writing now or about to.
        case running
    }

    private struct State {
        /// Queued lines, each with its line feed.
        var lines: [UInt8] = []
        /// The empty buffer that takes lines while the other is written. They alternate, so that neither grows anew.
        var spare: [UInt8] = []
        /// Bytes of the lines being written.
        var bytesInWriting = 0
        var writer: WriterState
        /// Lines lost since the last report of losses.
        var unreportedLosses: UInt64 = 0
        var losses: UInt64 = 0
        /// Whether the last write stopped within a line.
        var isWithinLine = false

        mutating func lose(_ count: Int) {
            unreportedLosses += UInt64(count)
            losses += UInt64(count)
        }
    }

    private static let lineFeed = UInt8(ascii: "\n")
    /// A larger buffer is freed once it is empty.
    private static let spareBytes = 262_144
    /// How long the first queued line waits for others: waking the writer for every line would take CPU time from
    /// requests.
    private static let delay = DispatchTimeInterval.milliseconds(10)
    /// With this many bytes queued, writing starts immediately.
    private static let batchBytes = 65_536

    /// The format of the sink's lines.
    let format: LogFormat
    private let descriptor: Int32
    /// The file that the sink opened and can reopen; nil: the descriptor belongs to the owner.
    private let path: String?
    private let queueBytes: Int
    private let state: Lock<State>
    /// Serial, so that lines keep their order. A blocking write occupies a Dispatch thread of its own.
    private let writer = DispatchQueue(label: "genrec.log", qos: .utility)

    /// A sink for a descriptor that its owner keeps open.
    ///
    /// - Parameters:
    ///   - queueBytes: the most bytes queued or being written; further lines are lost.
    ///   - isHeld: whether writing waits for `release`.
    package init(descriptor: Int32, format: LogFormat, queueBytes: Int = 4 << 20, isHeld: Bool = false) {
        self.descriptor = descriptor
        self.format = format
        self.queueBytes = queueBytes
        path = nil
        state = Lock(State(writer: isHeld ? .held : .idle))
    }

    /// A sink that appends to a file, creating it if missing. nil, with `errno` set, if it cannot be opened.
    package init?(path: String, format: LogFormat, queueBytes: Int = 4 << 20) {
        descriptor = Self.open(path)
        guard descriptor >= 0 else { return nil }
        self.format = format
        self.queueBytes = queueBytes
        self.path = path
        state = Lock(State(writer: .idle))
    }

    deinit {
        if path != nil { close(descriptor) }
    }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    }

    /// Reopens the file after it was renamed. Each line goes whole to one of the files. Does nothing without a file.
    ///
    /// - Returns: 0, or the `errno` if the file cannot be opened; the old one then stays open.
    package func reopen() -> Int32 {
        guard let path else { return 0 }
        let fresh = Self.open(path)
        guard fresh >= 0 else { return errno }
        defer { close(fresh) }
        // Replaces the file behind the writer's descriptor atomically, between two writes.
        guard writer.sync(execute: { dup2(fresh, descriptor) }) >= 0 else { return errno }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return 0
    }

    /// Queues one line, which must have one line feed, at its end. Never waits for the descriptor.
    package func write(_ line: [UInt8]) { line.withUnsafeBufferPointer(write) }

    /// Queues a line, like `write` with an array.
    package func write(_ line: UnsafeBufferPointer<UInt8>) {
        let change: WriterState? = state.withLock { state in
            guard state.lines.count + state.bytesInWriting + line.count <= queueBytes else {
                state.lose(1)
                return nil
            }
            state.lines.append(contentsOf: line)
            let isBatch = state.lines.count >= min(Self.batchBytes, queueBytes / 4)
            switch state.writer {
            case .held, .running: return nil
            case .idle: state.writer = isBatch ? .running : .delayed
            case .delayed:
                guard isBatch else { return nil }
                state.writer = .running
            }
            return state.writer
        }
        switch change {
        case .delayed: writer.asyncAfter(deadline: .now() + Self.delay) { self.writeQueue() }
        case .running: writer.async { self.writeQueue() }
        default: break
        }
    }

    /// Starts writing, for a sink created with `isHeld`. Repeated calls do nothing.
    package func release() { writer.async { self.writeQueue() } }

    /// Waits at most `timeout` until every line queued before this call is written or lost. False if that takes longer.
    @discardableResult
    package func flush(timeout: Duration) -> Bool {
        let work = DispatchWorkItem { [self] in
            if state.withLock({ $0.writer != .held }) { writeQueue() }
        }
        writer.async(execute: work)
        return work.wait(timeout: .now() + .nanoseconds(Int(timeout / .nanoseconds(1)))) == .success
    }

    /// Number of lines lost because the queue was full or the descriptor did not accept them.
    package var lostLines: UInt64 { state.withLock { $0.losses } }

    /// Adds the sink's counter.
    package func register(in registry: MetricRegistry, name: String = "genrec_log_dropped_total") {
        registry.counter(
            name,
            help: "Log lines that were lost: the queue was full, or they could not be written.",
            read: { [self] in Double(lostLines) }
        )
    }

    // MARK: The writer

    /// Writes until the queue is empty. Reports losses after each batch that could be written.
    private func writeQueue() {
        var lines: [UInt8] = []
        while takeBatch(into: &lines) {
            if write(batch: lines) { reportLosses() }
            lines.removeAll(keepingCapacity: lines.capacity <= Self.spareBytes)
        }
    }

    /// Swaps the queued lines with the empty `lines`. False if there are none; the buffer is then kept for the next
    /// time, and the next line schedules the writer again.
    private func takeBatch(into lines: inout [UInt8]) -> Bool {
        state.withLock { state in
            if lines.capacity == 0 { swap(&state.spare, &lines) }
            guard !state.lines.isEmpty else {
                state.writer = .idle
                state.bytesInWriting = 0
                swap(&state.spare, &lines)
                return false
            }
            state.writer = .running
            swap(&state.lines, &lines)
            state.bytesInWriting = lines.count
            return true
        }
    }

    private func reportLosses() {
        let losses = state.withLock { $0.unreportedLosses }
        guard losses > 0, write(all: report(of: losses)).isEmpty else { return }
        state.withLock { $0.unreportedLosses -= losses }
    }

    /// Writes the lines of a batch. False if some could not be written; those are counted as lost.
    private func write(batch lines: [UInt8]) -> Bool {
        let unwritten = write(all: lines)
        guard !unwritten.isEmpty else { return true }
        state.withLock { state in
            state.lose(unwritten.count { $0 == Self.lineFeed })
            state.bytesInWriting = 0
        }
        return false
    }

    /// Writes lines, first completing a line that an earlier write left unfinished. Returns the bytes that could not be
    /// written.
    private func write(all lines: [UInt8]) -> ArraySlice<UInt8> {
        if state.withLock({ $0.isWithinLine }), !writeToEnd([Self.lineFeed]).isEmpty { return lines[...] }
        let rest = writeToEnd(lines[...])
        let isWithinLine = rest.startIndex > 0 && lines[rest.startIndex - 1] != Self.lineFeed
        state.withLock { $0.isWithinLine = isWithinLine }
        return rest
    }

    /// Writes bytes. Returns those that the descriptor did not accept.
    private func writeToEnd(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var rest = bytes
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
                state.withLock { $0.bytesInWriting = max(0, $0.bytesInWriting - written) }
            } else if written < 0, errno == EAGAIN {
                // Another process sharing the descriptor has made it non-blocking.
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
