// The errors of a journal.

internal import Files

/// A journal that cannot be read or written.
package struct JournalError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable {
        /// There is no room to write more; stored data can still be read.
        case full
        /// The files cannot be used, at least for now.
        case unavailable
    }

    package let code: Code
    /// One sentence.
    package let description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// - Parameter prefix: the beginning of the sentence.
    init(_ error: FileError, _ prefix: String = "") {
        self.init(error.code == .full ? .full : .unavailable, prefix + error.message)
    }
}
