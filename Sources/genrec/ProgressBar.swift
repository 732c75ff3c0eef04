// A progress bar on standard error, drawn only where somebody watches: on a terminal.

import Glibc

/// One line, redrawn in place.
final class ProgressBar {
    private static let width = 40

    private let label: String
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var shownCells = -1

    init(label: String) {
        self.label = label
    }

    /// Draws `done` of `total`; redraws only when a cell has changed.
    func show(_ done: Int, of total: Int) {
        guard isTerminal, total > 0 else { return }
        let cells = done * Self.width / total
        guard cells != shownCells || done == total else { return }
        shownCells = cells
        let bar = String(repeating: "#", count: cells) + String(repeating: ".", count: Self.width - cells)
        Console.note("\r[\(bar)] \(done)/\(total) \(label)")
    }

    /// Leaves the finished line standing.
    func finish() {
        if isTerminal, shownCells >= 0 { Console.note("\n") }
    }
}
