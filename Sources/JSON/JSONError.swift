// Faults of JSON, read or written, and of the values in it. Code that reads fields throws the same type, so that "not
// JSON" and "JSON, but not what is expected" travel the same way and differ by code.

/// Why a text was refused or a value could not be written.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    /// The kind of fault.
    package enum Code: Sendable {
        /// The bytes are not JSON (RFC 8259) in UTF-8.
        case syntax
        /// Arrays and objects nest deeper than allowed, or a number has too many characters.
        case limit
        /// An object has the same key twice.
        case duplicateKey
        /// Well-formed, but not usable here.
        case unusable
        /// A number to be written is infinite or NaN, which JSON cannot express.
        case notFinite
    }

    package let code: Code
    /// The byte offset in the text; 0 for a fault without a position.
    package let offset: Int
    /// One sentence, or a clause that completes "FILE: …".
    package let message: String

    /// A fault at a byte of the text.
    package init(_ code: Code, at offset: Int, _ message: String) {
        self.code = code
        self.offset = offset
        self.message = message
    }

    /// A fault in a value, whose message names the field: "model.width is missing".
    package init(_ message: String) {
        self.init(.unusable, at: 0, message)
    }

    /// The message, preceded by the byte offset if it is about the text and not about a field.
    package var description: String {
        switch code {
        case .syntax, .limit, .duplicateKey: "byte \(offset): \(message)"
        case .unusable, .notFinite: message
        }
    }

    package static func == (left: JSONError, right: JSONError) -> Bool { left.code == right.code }
}
