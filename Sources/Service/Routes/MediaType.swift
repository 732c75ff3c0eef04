// Media types as headers write them: what a body is, and what a caller can read (RFC 9110, sections 8.3.1 and 12.5.1).

/// The value of a `Content-Type` field.
struct MediaType {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// `application/json` in any letter case, without parameters or with `charset=utf-8`, which JSON is anyway
    /// (RFC 8259, section 8.1).
    var isJSON: Bool {
        // The one spelling that nearly every caller uses needs no work.
        if text == "application/json" { return true }
        let parts = text.lowercased().split(separator: ";", omittingEmptySubsequences: false).map(trimmed)
        guard parts[0] == "application/json" else { return false }
        return parts.dropFirst().allSatisfy { ["charset=utf-8", "charset=\"utf-8\""].contains($0) }
    }
}

/// The value of an `Accept` field.
struct AcceptedTypes {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// Whether a reply of this type may be sent: the most specific range that fits decides, and `q=0` forbids.
    func allow(_ type: String, _ subtype: String) -> Bool {
        var best: (specificity: Int, isAllowed: Bool)?
        for range in text.lowercased().split(separator: ",") {
            let parts = range.split(separator: ";").map(trimmed)
            guard let name = parts.first else { continue }
            let specificity: Int
            switch name {
            case "\(type)/\(subtype)": specificity = 2
            case "\(type)/*": specificity = 1
            case "*/*", "*": specificity = 0
            default: continue
            }
            if let known = best, known.specificity >= specificity { continue }
            best = (specificity, !parts.dropFirst().contains(where: isZeroQuality))
        }
        return best?.isAllowed ?? false
    }

    private func isZeroQuality(_ parameter: Substring) -> Bool {
        guard parameter.hasPrefix("q=") else { return false }
        return Double(parameter.dropFirst(2)) == 0
    }
}

/// Without spaces and tabs around it.
private func trimmed(_ text: Substring) -> Substring {
    let isBlank = { (character: Character) in character == " " || character == "\t" }
    var text = text.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return text
}
