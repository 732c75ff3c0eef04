// Colours and styles on terminals; files and pipes get plain text.

import Glibc

/// The process's output streams, which may be terminals.
enum Terminal {
    /// Whether the stream is a terminal.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// The styles of standard output and of standard error.
    static let output = Style(STDOUT_FILENO)
    static let error = Style(STDERR_FILENO)
}

/// Formats text with ANSI sequences on terminals that support them, unless the user opted out (https://no-color.org).
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
