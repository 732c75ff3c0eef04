// The faults of a checkpoint, its description, or their fit. The sentence is made where the fault is found.

internal import Files
import Models

/// A checkpoint that cannot be imported.
package struct ImportError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: String, Sendable {
        /// A file cannot be opened or read, or has changed meanwhile.
        case unreadable
        /// A file's content violates its format.
        case malformed
        /// Well-formed, but of a kind that this program does not import; also whatever a checkpoint holds that is
        /// neither a tensor nor a plain value.
        case unsupported
        /// The description lacks a key, has one too many, or a value out of range.
        case badDescription = "bad_description"
        /// Checkpoint and description do not fit together.
        case mismatched
    }

    package let code: Code
    /// One sentence: which file, entry, tensor or key, what is wrong.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The fault that a reader of Models found in a file.
    init(_ error: FileError) {
        self.init(error.code == .unreadable ? .unreadable : .malformed, error.message)
    }

    package var description: String { message }

    package static func == (left: ImportError, right: ImportError) -> Bool { left.code == right.code }
}
