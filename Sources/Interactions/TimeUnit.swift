// The time formats of data sets, and their conversion to seconds.

/// How to read the numbers or texts in a time column.
package enum TimeUnit: String, Sendable, CaseIterable {
    case seconds = "s"
    case milliseconds = "ms"
    case microseconds = "us"
    /// ISO 8601: `2009-05-04T23:08:57Z`. The time may be missing, and so may the zone, which defaults to UTC.
    case iso

    /// The first second of the year 1.
    package static let firstSecond: Int64 = -62_135_596_800
    /// The last second of the year 9999: a later time is a number in a smaller unit.
    package static let lastSecond: Int64 = 253_402_300_799

    /// The time that a text states; nil for a text that states none.
    func time(_ text: Substring) -> EventTime? {
        switch self {
        case .seconds: Self.number(text, perSecond: 1)
        case .milliseconds: Self.number(text, perSecond: 1_000)
        case .microseconds: Self.number(text, perSecond: 1_000_000)
        case .iso: Self.date(text)
        }
    }

    /// The unit in which a time that is too late in this one falls before the year 10000; nil if there is none.
    func smaller(for seconds: Int64) -> TimeUnit? {
        switch self {
        case .seconds: seconds / 1_000 <= Self.lastSecond ? .milliseconds : .microseconds
        case .milliseconds: .microseconds
        case .microseconds, .iso: nil
        }
    }

    /// The name of a value in this unit.
    var noun: String {
        switch self {
        case .seconds: "a number of seconds"
        case .milliseconds: "a number of milliseconds"
        case .microseconds: "a number of microseconds"
        case .iso: "an ISO 8601 date"
        }
    }

    private static func number(_ text: Substring, perSecond count: Int64) -> EventTime? {
        var whole = Int64(text)
        var fraction = 0.0
        if whole == nil {
            // Swift reads hexadecimal numbers and "inf" too.
            guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 || "+-.eE".utf8.contains($0) }), let number = Double(text),
                abs(number) < 9.0e18
            else { return nil }
            whole = Int64(number.rounded(.down))
            fraction = number - number.rounded(.down)
        }
        guard let whole else { return nil }
        let (quotient, remainder) = whole.quotientAndRemainder(dividingBy: count)
        let seconds = remainder < 0 ? quotient - 1 : quotient
        let rest = remainder < 0 ? remainder + count : remainder
        let unit = 1_000_000 / count
        return EventTime(seconds: seconds, microseconds: Int32(rest * unit + Int64(fraction * Double(unit))))
    }

    // MARK: ISO 8601

    static func date(_ text: Substring) -> EventTime? {
        var rest = text.utf8
        guard let year = digits(4, &rest), take("-", &rest), let month = digits(2, &rest), 1...12 ~= month,
            take("-", &rest), let day = digits(2, &rest), 1...daysOf(month, year) ~= day
        else { return nil }
        var seconds = daysSinceEpoch(year, month, day) * 86_400
        if rest.isEmpty { return EventTime(seconds: seconds) }
        guard take("T", &rest) || take(" ", &rest), let hour = digits(2, &rest), hour <= 23, take(":", &rest),
            let minute = digits(2, &rest), minute <= 59
        else { return nil }
        seconds += hour * 3_600 + minute * 60
        var microseconds: Int32 = 0
        if take(":", &rest) {
            // A leap second counts as the first second of the next minute.
            guard let second = digits(2, &rest), second <= 60 else { return nil }
            seconds += second
            if take(".", &rest) || take(",", &rest) { microseconds = fraction(&rest) }
        }
        let local = EventTime(seconds: seconds, microseconds: microseconds)
        if rest.isEmpty || take("Z", &rest) && rest.isEmpty || Substring(rest) == " UTC" { return local }
        let isWest = rest.first == UInt8(ascii: "-")
        guard take("+", &rest) || take("-", &rest), let hours = digits(2, &rest), hours <= 23 else { return nil }
        _ = take(":", &rest)
        guard let minutes = rest.isEmpty ? 0 : digits(2, &rest), minutes <= 59, rest.isEmpty else { return nil }
        let offset = hours * 3_600 + minutes * 60
        return EventTime(seconds: seconds - (isWest ? -offset : offset), microseconds: microseconds)
    }

    /// The microseconds of the digits behind a decimal point.
    private static func fraction(_ rest: inout Substring.UTF8View) -> Int32 {
        let digits = rest.prefix { 0x30...0x39 ~= $0 }
        rest = rest.dropFirst(digits.count)
        var microseconds: Int32 = 0
        for place in 0..<6 {
            let digit = digits.dropFirst(place).first.map { Int32($0) - 0x30 } ?? 0
            microseconds = microseconds * 10 + digit
        }
        return microseconds
    }

    private static func take(_ character: Unicode.Scalar, _ rest: inout Substring.UTF8View) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private static func digits(_ count: Int, _ rest: inout Substring.UTF8View) -> Int64? {
        let text = rest.prefix(count)
        guard text.count == count, text.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        rest = rest.dropFirst(count)
        return text.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    private static func daysOf(_ month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days from 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
    private static func daysSinceEpoch(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        // Counting years from March puts the leap day at the end.
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}

/// A point in time.
struct EventTime: Comparable {
    /// Since the epoch.
    var seconds: Int64 = 0
    /// After that second, less than a million.
    var microseconds: Int32 = 0

    static func < (left: Self, right: Self) -> Bool {
        (left.seconds, left.microseconds) < (right.seconds, right.microseconds)
    }
}
