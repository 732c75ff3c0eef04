// A fault of a checkpoint, of its description, or of their match. The sentence is composed where the fault is found.

internal import Files
import Models

/// A checkpoint that cannot be imported.
package struct ImportError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: String, Sendable {
        /// A file cannot be opened or read, or has changed since it was opened.
        case unreadable
        /// A file's content violates its format.
        case malformed
        /// Well-formed, but of a kind that we do not import; also anything in a checkpoint that is neither a tensor nor
        /// a plain value.
        case unsupported
        /// The description lacks a key, has an unknown one, or a value out of range.
        case badDescription = "bad_description"
        /// Checkpoint and description do not fit together.
        case mismatched
    }

    package let code: Code
    /// One sentence: which file, entry, tensor or key, and what is wrong.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Converts an error of a file reader.
    init(_ error: FileError) {
        self.init(error.code == .unreadable ? .unreadable : .malformed, error.message)
    }

    package var description: String { message }

    package static func == (left: ImportError, right: ImportError) -> Bool { left.code == right.code }
}
