// Errors about a file: it cannot be read, its content cannot be used, or it cannot be written. The sentence is written
// where the error is found, because only that place knows the file, the tensor or the line.

/// A file that cannot be used.
package struct FileError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: String, Sendable {
        /// A file cannot be opened or read, or has changed meanwhile.
        case unreadable
        /// Its content violates its format.
        case malformed
        /// Several files are each well-formed but do not fit together, for example because of a tensor that the
        /// configuration does not know, or an index outside the item table.
        case mismatched
        /// Well-formed, but of a kind or version that this program does not know.
        case unsupported
        /// The output cannot be written, or exists already.
        case unwritable
        /// There is no room for the output.
        case full
    }

    package let code: Code
    /// One sentence: which file, which tensor or line, what is wrong.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The error for an output that cannot be written, with the system's reason.
    ///
    /// - Parameters:
    ///   - call: a verb, as in "cannot create".
    ///   - code: an `errno`.
    package init(cannot call: String, _ path: String, _ code: Int32) {
        self.init(isNoRoom(code) ? .full : .unwritable, "cannot \(call) \(path): \(systemErrorText(code))")
    }

    package var description: String { message }

    package static func == (left: FileError, right: FileError) -> Bool { left.code == right.code }
}
