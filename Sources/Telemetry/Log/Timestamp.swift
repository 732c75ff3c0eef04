// The date of a log record, made without Foundation.

import Glibc

/// A moment in UTC, to the millisecond.
package struct Timestamp: Equatable {
    /// Since 1970-01-01T00:00:00Z, leap seconds not counted.
    package let milliseconds: Int64

    /// The system clock.
    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) &* 1_000 &+ Int64(time.tv_nsec) / 1_000_000)
    }

    /// Bytes of RFC 3339's form.
    package static let byteCount = 24

    /// Appends RFC 3339's form, `2026-01-31T23:59:59.042Z`.
    package func append(to line: inout [UInt8]) {
        line += [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            write(to: buffer, at: 0)
            count = Self.byteCount
        }
    }

    /// Writes RFC 3339's form from a place on; there must be room. Years outside 0…9999 have no such form; the clock does not
    /// reach them.
    package func write(to text: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        let seconds = milliseconds.quotientFloor(1_000)
        let secondOfDay = seconds.moduloFloor(86_400)
        let (year, month, day) = Self.civilDate(daysSinceEpoch: seconds.quotientFloor(86_400))
        var place = start
        func write(_ value: Int64, count: Int, then separator: UInt8) {
            var rest = value
            for index in stride(from: place + count - 1, through: place, by: -1) {
                text[index] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
            text[place + count] = separator
            place += count + 1
        }
        write(year, count: 4, then: UInt8(ascii: "-"))
        write(month, count: 2, then: UInt8(ascii: "-"))
        write(day, count: 2, then: UInt8(ascii: "T"))
        write(secondOfDay / 3_600, count: 2, then: UInt8(ascii: ":"))
        write(secondOfDay / 60 % 60, count: 2, then: UInt8(ascii: ":"))
        write(secondOfDay % 60, count: 2, then: UInt8(ascii: "."))
        write(milliseconds.moduloFloor(1_000), count: 3, then: UInt8(ascii: "Z"))
    }

    /// The proleptic Gregorian date of a day number. Years are counted from 1 March, so that the leap day is the last of
    /// its year and the months' lengths follow one linear formula, (153 m + 2) / 5; 400 years are 146,097 days.
    private static func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let days = daysSinceEpoch + 719_468  // since 0000-03-01
        let era = days.quotientFloor(146_097)
        let dayOfEra = days.moduloFloor(146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension Int64 {
    /// The quotient rounded toward −∞, for a positive divisor: dates before the epoch count backwards.
    fileprivate func quotientFloor(_ divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : -((-self + divisor - 1) / divisor)
    }

    /// The remainder, never negative.
    fileprivate func moduloFloor(_ divisor: Int64) -> Int64 { self - quotientFloor(divisor) * divisor }
}
