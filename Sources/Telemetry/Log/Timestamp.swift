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
        let days = seconds.quotientFloor(86_400)
        let (year, month, day) = Self.civilDate(daysSinceEpoch: days)
        let second = UInt32(seconds - days * 86_400)
        let thousandths = UInt32(milliseconds - seconds * 1_000)
        // A line of the access log has a date, so the digits come without loops.
        func write(_ value: UInt32, then separator: UInt8, at place: Int) {
            let tens = value / 10
            text[start + place] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: tens)
            text[start + place + 1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value &- tens &* 10)
            text[start + place + 2] = separator
        }
        write(UInt32(year) / 100, then: 0, at: 0)
        write(UInt32(year) % 100, then: UInt8(ascii: "-"), at: 2)
        write(UInt32(month), then: UInt8(ascii: "-"), at: 5)
        write(UInt32(day), then: UInt8(ascii: "T"), at: 8)
        write(second / 3_600, then: UInt8(ascii: ":"), at: 11)
        write(second / 60 % 60, then: UInt8(ascii: ":"), at: 14)
        write(second % 60, then: UInt8(ascii: "."), at: 17)
        write(thousandths / 10, then: UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: thousandths % 10), at: 20)
        text[start + 23] = UInt8(ascii: "Z")
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
