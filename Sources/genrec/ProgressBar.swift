// Shows the progress of long work on standard error: a bar on a terminal, elsewhere a plain line now and then. Short
// work shows nothing.

import Glibc

/// A line that is redrawn in place.
final class ProgressBar {
    private static let width = 40
    /// How long work must take before anything is shown.
    private static let patience = Duration.milliseconds(300)
    /// The time between two plain lines.
    private static let pause = Duration.seconds(10)

    private let label: String
    private let hasLines: Bool
    private let isTerminal = Terminal.isTerminal(STDERR_FILENO)
    private let start = ContinuousClock.now
    private var lastLine = ContinuousClock.now
    private var shownCells = -1
    private var isFull = false

    /// - Parameters:
    ///   - label: what is counted.
    ///   - hasLines: whether to print plain lines where there is no terminal.
    init(label: String, hasLines: Bool = true) {
        self.label = label
        self.hasLines = hasLines
    }

    /// Whether the bar is visible.
    var isShown: Bool { shownCells >= 0 }

    /// Shows `done` of `total`. Redraws only if a cell has changed.
    func show(_ done: Int, of total: Int) {
        guard total > 0, isTerminal || hasLines else { return }
        guard isTerminal else { return line(done, total) }
        let cells = done * Self.width / total
        guard cells != shownCells || (done == total && !isFull) else { return }
        guard isShown || ContinuousClock.now - start > Self.patience else { return }
        shownCells = cells
        isFull = done == total
        let bar = String(repeating: "#", count: cells) + String(repeating: ".", count: Self.width - cells)
        Console.note("\r[\(Terminal.error.green(bar))] \(done)/\(total) \(label)")
    }

    private func line(_ done: Int, _ total: Int) {
        let now = ContinuousClock.now
        guard now - lastLine >= Self.pause else { return }
        lastLine = now
        Console.note("\(done) of \(total) \(label)\n")
    }

    /// Ends the bar's line, which stays visible.
    func finish() {
        if isShown { Console.note("\n") }
    }
}
