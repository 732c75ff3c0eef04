// Texts stored once, by number. They are looked up by bytes, so that replaying a journal creates no strings, and so
// that ids are equal only if their bytes are: Swift's strings equate "é" as one character and as two.

internal import Glibc

/// Texts by number, from 1; 0 is the empty text.
struct TextTable {
    private var texts: [String] = [""]
    /// Hash and number, 32 bits each, with linear probing; 0: free. At most half of the slots are taken.
    private var slots = [UInt64](repeating: 0, count: 64)
    /// Numbers of removed texts.
    private var free: [UInt32] = []
    /// Meaningless; forces the compiler to keep the reads in `numbers`.
    private var reached = 0

    /// Number of texts.
    var count: Int { texts.count - 1 - free.count }
    /// Greater than every number in use.
    var endNumber: UInt32 { UInt32(texts.count) }

    /// The text of a number; empty if the number is free.
    subscript(number: UInt32) -> String { texts[Int(number)] }

    /// The number of a text; nil if it is not in the table.
    func find(_ text: String) -> UInt32? {
        var text = text
        return text.withUTF8 { bytes in
            guard !bytes.isEmpty else { return 0 }
            let slot = slots[place(of: bytes, Self.hash(bytes))]
            return slot == 0 ? nil : UInt32(truncatingIfNeeded: slot)
        }
    }

    /// The number of a text, assigned if it has none.
    mutating func number(of text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { number(of: $0) }
    }

    /// The number of a text given as UTF-8, assigned if it has none.
    mutating func number(of bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        bytes.isEmpty ? 0 : number(of: bytes, Self.hash(bytes))
    }

    /// The numbers of several texts, assigned if they have none.
    ///
    /// In a large table every step of a lookup waits for memory. Taking each step for all texts before the next one
    /// overlaps the waits.
    ///
    /// - Parameter numbers: one per text.
    mutating func numbers(
        of list: UnsafeBufferPointer<UnsafeBufferPointer<UInt8>>,
        _ numbers: UnsafeMutableBufferPointer<UInt32>
    ) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: list.count) { hashes in
            let mask = slots.count - 1
            var sum = reached
            for (index, bytes) in list.enumerated() {
                hashes.initializeElement(at: index, to: bytes.isEmpty ? 0 : Self.hash(bytes))
            }
            for index in list.indices { numbers[index] = UInt32(truncatingIfNeeded: slots[Int(hashes[index]) & mask]) }
            for index in list.indices { sum &+= texts[Int(numbers[index])].utf8.count }
            reached = sum
            for (index, bytes) in list.enumerated() {
                numbers[index] = bytes.isEmpty ? 0 : number(of: bytes, hashes[index])
            }
        }
    }

    private mutating func number(of bytes: UnsafeBufferPointer<UInt8>, _ hash: UInt32) -> UInt32 {
        let place = place(of: bytes, hash)
        if slots[place] != 0 { return UInt32(truncatingIfNeeded: slots[place]) }
        let text = String(decoding: bytes, as: UTF8.self)
        let number: UInt32
        if let last = free.popLast() {
            number = last
            texts[Int(number)] = text
        } else {
            number = UInt32(texts.count)
            texts.append(text)
        }
        slots[place] = UInt64(hash) << 32 | UInt64(number)
        if count * 2 > slots.count { grow() }
        return number
    }

    /// Removes a text; its number may be reused.
    mutating func remove(_ number: UInt32) {
        let mask = slots.count - 1
        let hash = texts[Int(number)].withContiguousUTF8(Self.hash)
        var hole = Int(hash) & mask
        while UInt32(truncatingIfNeeded: slots[hole]) != number { hole = (hole + 1) & mask }
        // Later entries that a lookup could not reach across the hole move into it.
        var next = (hole + 1) & mask
        while slots[next] != 0 {
            let home = Int(slots[next] >> 32) & mask
            if (next - home) & mask >= (next - hole) & mask {
                slots[hole] = slots[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        slots[hole] = 0
        texts[Int(number)] = ""
        free.append(number)
    }

    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        // Callers choose the texts, so this uses the standard library's seeded hash.
        var hasher = Hasher()
        hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    /// The slot of a text, or the free slot for it.
    private func place(of bytes: UnsafeBufferPointer<UInt8>, _ hash: UInt32) -> Int {
        let mask = slots.count - 1
        var place = Int(hash) & mask
        while slots[place] != 0 {
            if UInt32(slots[place] >> 32) == hash,
                Self.isSame(texts[Int(UInt32(truncatingIfNeeded: slots[place]))], bytes)
            {
                break
            }
            place = (place + 1) & mask
        }
        return place
    }

    private static func isSame(_ text: String, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        text.utf8.count == bytes.count && text.withContiguousUTF8 { $0.holds(bytes) }
    }

    private mutating func grow() {
        var larger = [UInt64](repeating: 0, count: slots.count * 2)
        let mask = larger.count - 1
        for slot in slots where slot != 0 {
            var place = Int(slot >> 32) & mask
            while larger[place] != 0 { place = (place + 1) & mask }
            larger[place] = slot
        }
        slots = larger
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether both hold the same bytes.
    func holds(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard let one = baseAddress, let two = other.baseAddress else { return true }
        return memcmp(one, two, count) == 0
    }
}

extension String {
    /// Passes the text's UTF-8 to `body`.
    func withContiguousUTF8<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        // Native Swift strings are contiguous; any other is copied.
        utf8.withContiguousStorageIfAvailable(body) ?? Array(utf8).withUnsafeBufferPointer(body)
    }
}
