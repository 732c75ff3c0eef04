// Texts that stand once, by number. They are looked up by their bytes, so that replaying a journal makes no strings, and so that two
// ids are the same only if their bytes are: Swift's strings take "é" in one character and in two for equal.

/// Texts by number, from 1 on; 0 is the empty text.
struct TextTable {
    private var texts: [String] = [""]
    private var hashes: [UInt32] = [0]
    /// Numbers by hash, with linear probing; 0: free. At most half of them are taken.
    private var slots = [UInt32](repeating: 0, count: 64)
    /// Numbers of texts that were removed.
    private var free: [UInt32] = []

    /// The texts that are there.
    var count: Int { texts.count - 1 - free.count }
    /// Above every number that was given.
    var endNumber: UInt32 { UInt32(texts.count) }

    /// The text of a number; empty for one that is free.
    subscript(number: UInt32) -> String { texts[Int(number)] }

    /// Hands all texts to `body`, by number.
    func withTexts<Result>(_ body: (UnsafeBufferPointer<String>) -> Result) -> Result {
        texts.withUnsafeBufferPointer(body)
    }

    /// The number of a text; nil if it is not there.
    func find(_ text: String) -> UInt32? {
        var text = text
        return text.withUTF8 { bytes in
            guard !bytes.isEmpty else { return 0 }
            let number = slots[place(of: bytes, Self.hash(bytes))]
            return number == 0 ? nil : number
        }
    }

    /// The number of a text, which it gets now if it has none.
    mutating func number(of text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { number(of: $0) }
    }

    /// The same of a text's UTF-8.
    mutating func number(of bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        guard !bytes.isEmpty else { return 0 }
        let hash = Self.hash(bytes)
        let place = place(of: bytes, hash)
        if slots[place] != 0 { return slots[place] }
        let text = String(decoding: bytes, as: UTF8.self)
        let number: UInt32
        if let last = free.popLast() {
            number = last
            texts[Int(number)] = text
            hashes[Int(number)] = hash
        } else {
            number = UInt32(texts.count)
            texts.append(text)
            hashes.append(hash)
        }
        slots[place] = number
        if count * 2 > slots.count { grow() }
        return number
    }

    /// Removes a text; its number may be another's from here on.
    mutating func remove(_ number: UInt32) {
        let mask = slots.count - 1
        var hole = Int(hashes[Int(number)]) & mask
        while slots[hole] != number { hole = (hole + 1) & mask }
        // Those behind it that would not be found over a hole move into it.
        var next = (hole + 1) & mask
        while slots[next] != 0 {
            let home = Int(hashes[Int(slots[next])]) & mask
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
        // Callers choose the texts, so the hash is the seeded one of the standard library.
        var hasher = Hasher()
        hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    /// The slot of a text, or the free one that it would get.
    private func place(of bytes: UnsafeBufferPointer<UInt8>, _ hash: UInt32) -> Int {
        let mask = slots.count - 1
        var place = Int(hash) & mask
        while slots[place] != 0 {
            let number = Int(slots[place])
            if hashes[number] == hash, Self.isSame(texts[number], bytes) { break }
            place = (place + 1) & mask
        }
        return place
    }

    private static func isSame(_ text: String, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        text.utf8.withContiguousStorageIfAvailable { $0.elementsEqual(bytes) } ?? text.utf8.elementsEqual(bytes)
    }

    private mutating func grow() {
        var larger = [UInt32](repeating: 0, count: slots.count * 2)
        let mask = larger.count - 1
        for number in slots where number != 0 {
            var place = Int(hashes[Int(number)]) & mask
            while larger[place] != 0 { place = (place + 1) & mask }
            larger[place] = number
        }
        slots = larger
    }
}
