// Events as the elements of a user's list: `TIMESTAMP TAB ITEM TAB ACTION`. Other programs write them, too.

/// The form of an event in Redis.
enum StoredEvent {
    private static let tab = UInt8(ascii: "\t")

    /// The element of an event; nil: an action with a tab would be read as another.
    static func text(_ event: UserEvent) -> String? {
        if let action = event.action, action.utf8.contains(tab) { return nil }
        return "\(event.timestamp)\t\(event.item)\t\(event.action ?? "")"
    }

    /// The event of an element; nil: it is none. The action may be missing with its tab.
    static func read(_ bytes: ArraySlice<UInt8>) -> UserEvent? {
        guard let first = bytes.firstIndex(of: tab), let timestamp = integer(bytes[..<first]) else { return nil }
        let rest = bytes[(first + 1)...]
        // An item may have tabs, and an action has none.
        let last = rest.lastIndex(of: tab) ?? rest.endIndex
        guard last > rest.startIndex else { return nil }
        let action = last < rest.endIndex ? rest[(last + 1)...] : []
        return UserEvent(
            item: String(decoding: rest[..<last], as: UTF8.self),
            timestamp: timestamp,
            action: action.isEmpty ? nil : String(decoding: action, as: UTF8.self)
        )
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> Int64? {
        let isNegative = bytes.first == UInt8(ascii: "-")
        let digits = isNegative ? bytes.dropFirst() : bytes
        // 2^53 has 16 digits.
        guard 1...18 ~= digits.count else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard case let digit = byte &- UInt8(ascii: "0"), digit <= 9 else { return nil }
            value = value * 10 + Int64(digit)
        }
        return isNegative ? -value : value
    }
}
