// Texts from outside as keys of dictionaries.

/// A text as a key, compared by its bytes: Swift's strings treat "é" as one character and as two as equal, and ids that only
/// look equal are different ids.
package struct TextKey: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
