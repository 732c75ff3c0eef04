// The Date field of replies (RFC 9110 §5.6.7, IMF-fixdate), made once a second.

import Glibc

/// A Date field line for the present second.
struct DateField {
    /// "Date: Sun, 06 Nov 1994 08:49:37 GMT" and CRLF.
    private(set) var line: [UInt8]
    private var second: Int

    /// The field for a second since the epoch.
    init(unixSeconds: Int) {
        second = unixSeconds
        line = DateField.line(unixSeconds)
    }

    /// Follows the clock.
    mutating func update(unixSeconds: Int) {
        guard unixSeconds != second else { return }
        self = DateField(unixSeconds: unixSeconds)
    }

    private static func line(_ unixSeconds: Int) -> [UInt8] {
        let weekdays: [StaticString] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months: [StaticString] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let seconds = max(0, unixSeconds)
        let days = seconds / 86_400
        let ofDay = seconds % 86_400
        let (year, month, day) = civil(days)
        var line: [UInt8] = []
        line.append("Date: ")
        line.append(weekdays[days % 7])
        line.append(", ")
        line.append(twoDigits: day)
        line.append(" ")
        line.append(months[month - 1])
        line.append(" ")
        line.append(decimal: year)
        line.append(" ")
        line.append(twoDigits: ofDay / 3_600)
        line.append(":")
        line.append(twoDigits: ofDay / 60 % 60)
        line.append(":")
        line.append(twoDigits: ofDay % 60)
        line.append(" GMT\r\n")
        return line
    }

    /// Year, month and day of a day ≥ 0 counted from 1 January 1970. Years are counted from March, so that the leap day
    /// is a year's last; an era is the 400 years, 146 097 days, after which the calendar repeats.
    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468  // from 1 March of year 0
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension [UInt8] {
    fileprivate mutating func append(twoDigits value: Int) {
        append(Byte.zero + UInt8(truncatingIfNeeded: value / 10))
        append(Byte.zero + UInt8(truncatingIfNeeded: value % 10))
    }
}
