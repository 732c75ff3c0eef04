// Events as elements of a user's list, `TIMESTAMP TAB ITEM TAB ACTION`, which other programs also write.

/// The format of an event in Redis.
enum StoredEvent {
    private static let tab = UInt8(ascii: "\t")

    /// The element of an event; nil: the action contains a tab and would be read back differently.
    static func text(_ event: UserEvent) -> String? {
        if let action = event.action, action.utf8.contains(tab) { return nil }
        return "\(event.timestamp)\t\(event.item)\t\(event.action ?? "")"
    }

    /// The event of an element; nil: it is invalid. The action may be missing, together with its tab.
    static func read(_ bytes: ArraySlice<UInt8>) -> UserEvent? {
        guard let first = bytes.firstIndex(of: tab), let timestamp = integer(bytes[..<first]) else { return nil }
        let rest = bytes[(first + 1)...]
        // An item may contain tabs, an action may not.
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
        // Timestamps are at most 2^53, which has 16 digits.
        guard 1...18 ~= digits.count else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard case let digit = byte &- UInt8(ascii: "0"), digit <= 9 else { return nil }
            value = value * 10 + Int64(digit)
        }
        return isNegative ? -value : value
    }
}
