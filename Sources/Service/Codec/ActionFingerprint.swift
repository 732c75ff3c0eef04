// Reduces actions to numbers. No architecture here models actions, so telling them apart is enough.

/// Fingerprints of actions: equal for equal actions and almost never for others; never 0, which means no action.
enum ActionFingerprint {
    /// The fingerprint of a string.
    static func of(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 { hash(text, seed: 1) }

    /// The fingerprint of an integer.
    static func of(_ value: Int64) -> UInt64 {
        withUnsafeBytes(of: value.littleEndian) { bytes in
            bytes.withMemoryRebound(to: UInt8.self) { hash($0, seed: 2) }
        }
    }

    /// The fingerprint of a stored action, the same as when it was sent: text that is an integer was sent as one.
    static func of(stored text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        let string = String(decoding: text, as: UTF8.self)
        if let value = Int64(string), String(value) == string { return of(value) }
        return of(text)
    }

    /// FNV-1a of 64 bits (draft-eastlake-fnv, section 2).
    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>, seed: UInt64) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return max(hash, 1)
    }
}
