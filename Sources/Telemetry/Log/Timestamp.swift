// The date of a log record, formatted without Foundation.

import Glibc

/// A moment in UTC, to the millisecond.
package struct Timestamp: Equatable {
    /// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
    package let milliseconds: Int64

    /// The system clock's time.
    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) &* 1_000 &+ Int64(time.tv_nsec) / 1_000_000)
    }

    /// Length of the RFC 3339 form in bytes.
    package static let byteCount = 24

    /// Appends the RFC 3339 form, `2026-01-31T23:59:59.042Z`.
    package func append(to line: inout [UInt8]) {
        line += [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            write(to: buffer, at: 0)
            count = Self.byteCount
        }
    }

    /// Writes the RFC 3339 form at an offset; there must be room. Years outside 0…9999 have no such form, and the clock
    /// does not reach them.
    package func write(to text: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
        let seconds = milliseconds.quotientFloor(1_000)
        let days = seconds.quotientFloor(86_400)
        let (year, month, day) = Self.civilDate(daysSinceEpoch: days)
        let second = UInt32(truncatingIfNeeded: seconds &- days &* 86_400)
        let thousandths = UInt32(truncatingIfNeeded: milliseconds &- seconds &* 1_000)
        precondition(start >= 0 && start &+ Self.byteCount <= text.count, "there is no room for a date")
        // Every access log line has a date, so it is composed in three words, the first character in the lowest byte.
        let hundreds = UInt32(truncatingIfNeeded: year) / 100
        var first = Self.digits(hundreds)
        first |= Self.digits(UInt32(truncatingIfNeeded: year) &- hundreds &* 100) << 16
        first |= Self.character("-") << 32
        first |= Self.digits(month) << 40
        first |= Self.character("-") << 56
        var middle = Self.digits(day)
        middle |= Self.character("T") << 16
        middle |= Self.digits(second / 3_600) << 24
        middle |= Self.character(":") << 40
        middle |= Self.digits(second / 60 % 60) << 48
        var last = Self.character(":")
        last |= Self.digits(second % 60) << 8
        last |= Self.character(".") << 24
        last |= Self.digits(thousandths / 10) << 32
        last |= (Self.character("0") + UInt64(thousandths % 10)) << 48
        last |= Self.character("Z") << 56
        let place = UnsafeMutableRawBufferPointer(text)
        place.storeBytes(of: first.littleEndian, toByteOffset: start, as: UInt64.self)
        place.storeBytes(of: middle.littleEndian, toByteOffset: start &+ 8, as: UInt64.self)
        place.storeBytes(of: last.littleEndian, toByteOffset: start &+ 16, as: UInt64.self)
    }

    /// Two digits of a number below 100, the tens in the lower byte.
    @inline(__always)
    private static func digits(_ value: UInt32) -> UInt64 {
        let tens = value / 10
        return UInt64(tens | (value &- tens &* 10) << 8) | 0x3030
    }

    @inline(__always)
    private static func character(_ scalar: Unicode.Scalar) -> UInt64 { UInt64(UInt8(ascii: scalar)) }

    /// The proleptic Gregorian date of a day number. Years are counted from 1 March, so that the leap day is the last
    /// of its year and the months' lengths follow the linear formula (153 m + 2) / 5; 400 years are 146,097 days.
    private static func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: UInt32, day: UInt32) {
        let days = daysSinceEpoch + 719_468  // since 0000-03-01
        let era = days.quotientFloor(146_097)
        // Below 146,097, so the remaining divisions fit 32 bits.
        let dayOfEra = UInt32(truncatingIfNeeded: days &- era &* 146_097)
        let yearOfEra = (dayOfEra &- dayOfEra / 1_460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let shiftedMonth = (5 &* dayOfYear &+ 2) / 153
        let day = dayOfYear &- (153 &* shiftedMonth &+ 2) / 5 &+ 1
        let month = shiftedMonth < 10 ? shiftedMonth &+ 3 : shiftedMonth &- 9
        return (Int64(yearOfEra) &+ era &* 400 &+ (month <= 2 ? 1 : 0), month, day)
    }
}

extension Int64 {
    /// The quotient rounded toward −∞, for a positive divisor, because dates before the epoch are negative.
    @inline(__always)
    fileprivate func quotientFloor(_ divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : -((-self + divisor - 1) / divisor)
    }
}
