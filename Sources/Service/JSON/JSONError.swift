// What can be wrong with JSON, read or written. One type for both, and for the codecs above: as in other pull parsers, "not
// JSON" and "JSON, but not what is wanted" travel the same way and differ by code.

/// Why a text was refused, or a value could not be written.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    /// What kind of fault it is.
    package enum Code: Sendable {
        /// The bytes are not JSON (RFC 8259) in UTF-8.
        case syntax
        /// Arrays and objects are nested deeper than the reader was told to go, or a number has too many characters.
        case limit
        /// An object has the same key twice.
        case duplicateKey
        /// Well-formed, but not a value that can be used here. Also what a codec says about a field.
        case unusable
        /// A number to be written is infinite or not a number; JSON has no word for it.
        case notFinite
    }

    package let code: Code
    /// Where in the text, in bytes from its start; 0 for a fault in writing.
    package let offset: Int
    /// One sentence.
    package let message: String

    /// A fault at a byte of the text.
    package init(_ code: Code, at offset: Int, _ message: String) {
        self.code = code
        self.offset = offset
        self.message = message
    }

    /// The sentence; where it is about the text and not about a field, it begins with the byte.
    package var description: String {
        switch code {
        case .syntax, .limit, .duplicateKey: "byte \(offset): \(message)"
        case .unusable, .notFinite: message
        }
    }

    package static func == (left: JSONError, right: JSONError) -> Bool { left.code == right.code }
}
