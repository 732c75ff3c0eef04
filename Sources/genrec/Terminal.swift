// Output for terminals that files and pipes should not contain.

import Glibc

/// A stream of the process that may be a terminal.
enum Terminal {
    /// Whether the stream is a terminal.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// How text is set off on standard output, and on standard error.
    static let output = Style(STDOUT_FILENO)
    static let error = Style(STDERR_FILENO)
}

/// Sets text off by ANSI sequences, on terminals that support them and whose user wants them (https://no-color.org).
struct Style {
    private let isOn: Bool

    init(_ descriptor: Int32) {
        func value(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }
        isOn = Terminal.isTerminal(descriptor) && value("NO_COLOR").isEmpty && !["", "dumb"].contains(value("TERM"))
    }

    func bold(_ text: String) -> String { set(text, "1") }
    func faint(_ text: String) -> String { set(text, "2") }
    func red(_ text: String) -> String { set(text, "31") }
    func green(_ text: String) -> String { set(text, "32") }

    private func set(_ text: String, _ code: String) -> String { isOn ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}
