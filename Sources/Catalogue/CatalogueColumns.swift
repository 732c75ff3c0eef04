// The columns of a catalogue: texts back to back in one buffer, and a hash table from a text or number to its row. A
// million items are a handful of arrays instead of millions of strings.

import Glibc

/// An optional text per row, all in one buffer.
struct TextColumn: Sendable {
    /// The range of a text in one word, so that finding it costs one memory access.
    struct Place {
        /// The start, then 24 bits of the length plus one; 0: no text.
        var bits: UInt64 = 0

        init() {}
        init(_ start: Int, _ length: Int) {
            precondition(length < 1 << 24 - 1, "callers bound texts far lower")
            bits = UInt64(start) << 24 | UInt64(length + 1)
        }

        var start: Int { Int(bits >> 24) }
        /// −1: no text.
        var length: Int { Int(bits & (1 << 24 - 1)) - 1 }
    }

    private(set) var bytes: [UInt8] = []
    private var places: [Place]

    init(rows: Int) { places = Array(repeating: Place(), count: rows) }

    /// Sets the text of a row that has none yet.
    mutating func set(_ row: Int, _ text: [UInt8]) {
        places[row] = Place(bytes.count, text.count)
        bytes.append(contentsOf: text)
    }

    /// Sets the text of a row that has none yet, adding quotes.
    mutating func set(_ row: Int, quoting text: [UInt8]) {
        places[row] = Place(bytes.count, text.count + 2)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: text)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Adds a row with a text.
    mutating func append(_ text: some Collection<UInt8>) {
        places.append(Place(bytes.count, text.count))
        bytes.append(contentsOf: text)
    }

    /// The range of a row's text.
    func place(_ row: Int) -> Place { places[row] }

    /// Whether a row has this text.
    func holds(_ text: UnsafeBufferPointer<UInt8>, at row: Int) -> Bool { holds(text, in: places[row], margin: 0) }

    /// Whether a row has this text in quotes.
    func holdsQuoted(_ text: UnsafeBufferPointer<UInt8>, at row: Int) -> Bool { holdsQuoted(text, in: places[row]) }

    /// Whether the text at a place of this column is this one in quotes.
    func holdsQuoted(_ text: UnsafeBufferPointer<UInt8>, in place: Place) -> Bool { holds(text, in: place, margin: 1) }

    private func holds(_ text: UnsafeBufferPointer<UInt8>, in place: Place, margin: Int) -> Bool {
        guard place.length == text.count + 2 * margin else { return false }
        guard let wanted = text.baseAddress else { return true }
        return bytes.withUnsafeBufferPointer { bytes in
            // In bounds: `set` and `append` put a row's text into `bytes`.
            bytes.baseAddress.map { memcmp($0 + place.start + margin, wanted, text.count) == 0 } ?? false
        }
    }

    /// The range of a row's text in `bytes`; nil if it has none.
    func range(_ row: Int) -> Range<Int>? {
        let place = places[row]
        return place.length < 0 ? nil : place.start..<place.start + place.length
    }
}

/// An open-addressing hash table to positive 32-bit numbers. It does not store keys: the caller compares them.
struct RowTable: Sendable {
    /// Upper half: the key's hash; lower half: its number, 0 if the slot is empty.
    private var slots: [UInt64] = Array(repeating: 0, count: 16)
    private(set) var count = 0

    /// The number of a key with this hash for which `matches` returns true.
    func find(_ hash: UInt32, matches: (Int32) -> Bool) -> Int32? {
        let mask = slots.count - 1
        var index = Int(hash) & mask
        while slots[index] != 0 {
            if UInt32(slots[index] >> 32) == hash {
                let number = Int32(truncatingIfNeeded: slots[index])
                if matches(number) { return number }
            }
            index = (index + 1) & mask
        }
        return nil
    }

    /// The first slot to search for a hash, for `find(_:beginningWith:matches:)`. In a large table each read is slow,
    /// but reads for many hashes overlap.
    func beginning(of hash: UInt32) -> UInt64 { slots[Int(hash) & (slots.count - 1)] }

    /// The number in a slot; 0 if it is empty.
    static func number(_ slot: UInt64) -> Int32 { Int32(truncatingIfNeeded: slot) }

    /// The number in a slot; nil if it is empty or its key has another hash.
    static func number(_ slot: UInt64, ofKeyWith hash: UInt32) -> Int32? {
        slot != 0 && UInt32(slot >> 32) == hash ? number(slot) : nil
    }

    /// Like `find(_:matches:)`, with the first slot already read.
    func find(_ hash: UInt32, beginningWith slot: UInt64, matches: (Int32) -> Bool) -> Int32? {
        if slot == 0 { return nil }
        if let number = Self.number(slot, ofKeyWith: hash), matches(number) { return number }
        return find(hash, matches: matches)
    }

    /// Adds a key that is not in the table.
    mutating func insert(_ hash: UInt32, _ number: Int32) {
        precondition(number > 0, "0 marks an empty slot")
        count += 1
        if 2 * count > slots.count {
            let old = slots
            slots = Array(repeating: 0, count: 2 * old.count)
            for slot in old where slot != 0 { place(slot) }
        }
        place(UInt64(hash) << 32 | UInt64(number))
    }

    private mutating func place(_ slot: UInt64) {
        let mask = slots.count - 1
        var index = Int(slot >> 32) & mask
        while slots[index] != 0 { index = (index + 1) & mask }
        slots[index] = slot
    }
}
