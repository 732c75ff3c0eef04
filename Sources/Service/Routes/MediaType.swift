// Media types in headers: what a body is, and what a client accepts (RFC 9110, sections 8.3.1 and 12.5.1).

/// The value of a `Content-Type` field.
struct MediaType {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// `application/json` in any letter case, without parameters or with `charset=utf-8`, which JSON always is (RFC
    /// 8259, section 8.1).
    var isJSON: Bool { isUTF8(["application/json"]) }

    /// JSON values, one per line, under any of the type's names. The same parameters as above are allowed.
    var isNDJSON: Bool { isUTF8(["application/x-ndjson", "application/ndjson", "application/jsonl"]) }

    private func isUTF8(_ names: [String]) -> Bool {
        let parts = text.lowercased().split(separator: ";", omittingEmptySubsequences: false).map(trimmed)
        guard names.contains(String(parts[0])) else { return false }
        return parts.dropFirst().allSatisfy { ["charset=utf-8", "charset=\"utf-8\""].contains($0) }
    }
}

/// The value of an `Accept` field.
struct AcceptedTypes {
    /// Media ranges with the client's weights in thousandths; 0 forbids.
    private let ranges: [(name: String, quality: Int)]

    /// Skips ranges whose weight is malformed. Parameters other than `q` are ignored: no type sent here has any.
    init(_ text: String) {
        ranges = text.lowercased().split(separator: ",").compactMap { range in
            let parts = range.split(separator: ";").map(trimmed)
            guard let name = parts.first else { return nil }
            var quality = 1_000
            for parameter in parts.dropFirst() where parameter.hasPrefix("q=") {
                guard let weight = Self.thousandths(parameter.dropFirst(2)) else { return nil }
                quality = weight
            }
            return (String(name), quality)
        }
    }

    /// A type's weight in thousandths; 0: it must not be sent. The most specific matching range decides.
    func quality(_ type: String, _ subtype: String) -> Int {
        var best = (specificity: -1, quality: 0)
        for (name, quality) in ranges {
            let specificity: Int
            switch name {
            case "\(type)/\(subtype)": specificity = 2
            case "\(type)/*": specificity = 1
            case "*/*", "*": specificity = 0
            default: continue
            }
            if specificity > best.specificity { best = (specificity, quality) }
        }
        return best.quality
    }

    /// A weight: 0 to 1 with at most three decimals (RFC 9110, section 12.4.2).
    private static func thousandths(_ text: Substring) -> Int? {
        var digits = Array(text.utf8)
        guard let whole = digits.first, whole == UInt8(ascii: "0") || whole == UInt8(ascii: "1") else { return nil }
        digits.removeFirst()
        if let point = digits.first {
            guard point == UInt8(ascii: "."), digits.count <= 4 else { return nil }
            digits.removeFirst()
        }
        var value = Int(whole - UInt8(ascii: "0"))
        for place in 0..<3 {
            let digit = place < digits.count ? digits[place] : UInt8(ascii: "0")
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= digit else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value <= 1_000 ? value : nil
    }
}

/// The form of the reply to `POST /recommend`.
enum ReplyForm: Equatable {
    /// One JSON object.
    case whole
    /// Record by record.
    case stream(StreamFormat)

    /// The form for a client that accepts `accept` (nil: anything) and whose body may ask for a stream; nil: none fits
    /// (406).
    ///
    /// Both the body and `Accept` can ask for a stream. If the body does not, `Accept` decides; the whole reply wins
    /// ties. If it does, a whole reply is never sent, so `Accept` must allow one of the two streams; NDJSON wins ties.
    static func choose(accept: String?, wantsStream: Bool) -> ReplyForm? {
        // The value of nearly every client needs no parsing.
        switch accept {
        case nil, "", "*/*": return wantsStream ? .stream(.ndjson) : .whole
        case "application/json" where !wantsStream: return .whole
        default: break
        }
        let accepted = AcceptedTypes(accept ?? "")
        var best: (form: ReplyForm, quality: Int)?
        for form in [ReplyForm.whole, .stream(.ndjson), .stream(.serverSentEvents)] {
            if wantsStream, form == .whole { continue }
            let (type, subtype) = form.mediaType
            let quality = accepted.quality(type, subtype)
            if quality > best?.quality ?? 0 { best = (form, quality) }
        }
        return best?.form
    }

    private var mediaType: (type: String, subtype: String) {
        switch self {
        case .whole: ("application", "json")
        case .stream(.ndjson): ("application", "x-ndjson")
        case .stream(.serverSentEvents): ("text", "event-stream")
        }
    }
}

/// Removes surrounding spaces and tabs.
private func trimmed(_ text: Substring) -> Substring {
    let isBlank = { (character: Character) in character == " " || character == "\t" }
    var text = text.drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return text
}
