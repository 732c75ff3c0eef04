// What catalogues have for the texts of events, by the texts' numbers: a history of two thousand events is then two thousand looks
// into an array.

/// The readings of a few catalogues.
struct TextReadings {
    /// More catalogues than this are rarely used in turns.
    private static let most = 8

    /// The numbers of one catalogue, dropped with it.
    struct Reading {
        fileprivate weak var numbers: (any EventNumbers)?
        /// By number of the item; `unasked` where that is so, its complement where the catalogue does not know it.
        private var rows: [Int32] = []
        /// By number of the action; 0 if not yet looked up, and for none.
        private var fingerprints: [UInt64] = []
        private static let unasked = Int32.min

        fileprivate init(_ numbers: any EventNumbers) { self.numbers = numbers }

        /// Makes room for all numbers below these.
        mutating func grow(items: Int, actions: Int) {
            rows.append(contentsOf: repeatElement(Self.unasked, count: items - rows.count))
            fingerprints.append(contentsOf: repeatElement(0, count: actions - fingerprints.count))
        }

        /// The row of an item; the complement of its number where the catalogue does not know it.
        mutating func row(_ item: UInt32, _ ask: () -> Int32?) -> Int32 {
            let known = rows[Int(item)]
            if known != Self.unasked { return known }
            let row = ask() ?? ~Int32(item)
            rows[Int(item)] = row
            return row
        }

        /// The fingerprint of an action, 0 for none.
        mutating func fingerprint(_ action: UInt32, _ ask: () -> UInt64) -> UInt64 {
            if action == 0 { return 0 }
            let known = fingerprints[Int(action)]
            if known != 0 { return known }
            let fingerprint = ask()
            fingerprints[Int(action)] = fingerprint
            return fingerprint
        }
    }

    /// The most recently used is last.
    private var readings: [Reading] = []

    /// Removes and returns the reading of a catalogue, made if missing. The caller must put it back.
    mutating func take(_ numbers: some EventNumbers) -> Reading {
        readings.removeAll { $0.numbers == nil }
        if let place = readings.firstIndex(where: { $0.numbers === numbers }) { return readings.remove(at: place) }
        if readings.count == Self.most { readings.removeFirst() }
        return Reading(numbers)
    }

    mutating func put(_ reading: consuming Reading) { readings.append(reading) }
}
