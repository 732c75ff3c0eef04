// The rows and fingerprints that catalogues have for the texts of events, by text number: a history of two thousand
// events then costs two thousand array accesses.

/// The cached readings of a few catalogues.
struct TextReadings {
    /// More catalogues than this are rarely used alternately.
    private static let most = 8

    /// The cached rows and fingerprints of one catalogue; dropped with it.
    struct Reading {
        fileprivate weak var numbers: (any EventNumbers)?
        /// By item number; `unasked` before the lookup, the number's complement if the catalogue lacks the item.
        private var rows: [Int32] = []
        /// By action number; 0 if not looked up yet, and for no action.
        private var fingerprints: [UInt64] = []
        private static let unasked = Int32.min

        fileprivate init(_ numbers: any EventNumbers) { self.numbers = numbers }

        /// Makes room for all numbers below these.
        mutating func grow(items: Int, actions: Int) {
            rows.append(contentsOf: repeatElement(Self.unasked, count: items - rows.count))
            fingerprints.append(contentsOf: repeatElement(0, count: actions - fingerprints.count))
        }

        /// The row of an item; the complement of its number if the catalogue does not know it.
        mutating func row(_ item: UInt32, _ ask: () -> Int32?) -> Int32 {
            let known = rows[Int(item)]
            if known != Self.unasked { return known }
            let row = ask() ?? ~Int32(item)
            rows[Int(item)] = row
            return row
        }

        /// The fingerprint of an action; 0 for no action.
        mutating func fingerprint(_ action: UInt32, _ ask: () -> UInt64) -> UInt64 {
            if action == 0 { return 0 }
            let known = fingerprints[Int(action)]
            if known != 0 { return known }
            let fingerprint = ask()
            fingerprints[Int(action)] = fingerprint
            return fingerprint
        }
    }

    /// In order of use, the most recent last.
    private var readings: [Reading] = []

    /// Removes and returns the reading of a catalogue, created if missing. The caller must put it back.
    mutating func take(_ numbers: some EventNumbers) -> Reading {
        readings.removeAll { $0.numbers == nil }
        if let place = readings.firstIndex(where: { $0.numbers === numbers }) { return readings.remove(at: place) }
        if readings.count == Self.most { readings.removeFirst() }
        return Reading(numbers)
    }

    mutating func put(_ reading: consuming Reading) { readings.append(reading) }
}
