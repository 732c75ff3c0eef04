// Looks up many ids together. When a request arrives, the catalogue's tables are not in the processor's caches, because
// a batch has just read the weights and a user's keys and values. A memory access then takes a hundred nanoseconds, and
// a history needs thousands; accesses for different ids can overlap.

/// An item's id in a request: a text or, if that is nil, an integer.
package struct ItemKey {
    /// Valid UTF-8; whoever creates the key must keep the bytes alive.
    package let text: UnsafeBufferPointer<UInt8>?
    package let integer: Int64

    package init(_ text: UnsafeBufferPointer<UInt8>) { (self.text, integer) = (text, 0) }
    package init(_ integer: Int64) { (text, self.integer) = (nil, integer) }
}

extension Catalogue {
    /// The row of an item; nil if no item has this id.
    package func row(of key: ItemKey) -> Int32? {
        if let text = key.text { row(ofString: text) } else { row(ofInteger: key.integer) }
    }

    /// The rows of items, each as from `row(of:)`; 0 if no item has the id.
    ///
    /// Each step below runs for all ids before the next, so the processor overlaps the memory reads of many ids.
    /// Comparing the ids one by one would prevent that.
    ///
    /// - Parameters:
    ///   - keys: n keys, a few dozen; more than the processor's outstanding reads gain nothing.
    ///   - rows: n rows.
    package func rows(of keys: UnsafeBufferPointer<ItemKey>, into rows: UnsafeMutableBufferPointer<Int32>) {
        precondition(rows.count == keys.count)
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: keys.count) { hashes in
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: keys.count) { beginnings in
                let hash = KeyedHash.shared
                for index in keys.indices {
                    hashes.initializeElement(at: index, to: self.hash(of: keys[index], with: hash))
                }
                for index in keys.indices {
                    beginnings.initializeElement(at: index, to: rowsByID.beginning(of: hashes[index]))
                }
                if idsAreIntegers {
                    for index in keys.indices {
                        rows[index] =
                            rowsByID.find(hashes[index], beginningWith: beginnings[index]) { row in
                                integer(of: keys[index]) == integerIDs[Int(row)]
                            } ?? 0
                    }
                } else {
                    findTexts(keys, hashes, beginnings, into: rows)
                }
            }
        }
    }

    private func findTexts(
        _ keys: UnsafeBufferPointer<ItemKey>,
        _ hashes: UnsafeMutableBufferPointer<UInt32>,
        _ beginnings: UnsafeMutableBufferPointer<UInt64>,
        into rows: UnsafeMutableBufferPointer<Int32>
    ) {
        withUnsafeTemporaryAllocation(of: TextColumn.Place.self, capacity: keys.count) { places in
            for index in keys.indices {
                let number = RowTable.number(beginnings[index], ofKeyWith: hashes[index])
                places.initializeElement(at: index, to: number.map { ids.place(Int($0)) } ?? TextColumn.Place())
            }
            for index in keys.indices {
                if let text = keys[index].text, ids.holdsQuoted(text, in: places[index]) {
                    rows[index] = RowTable.number(beginnings[index])
                } else {
                    rows[index] = beginnings[index] == 0 ? 0 : row(of: keys[index]) ?? 0
                }
            }
        }
    }

    /// The hash of a key's canonical form; 0 if the catalogue cannot have such an id.
    private func hash(of key: ItemKey, with hash: KeyedHash) -> UInt32 {
        if idsAreIntegers { return integer(of: key).map { hash.of($0) } ?? 0 }
        return key.text.map { hash.of($0) } ?? CanonicalInteger.withText(of: key.integer) { hash.of($0) }
    }

    private func integer(of key: ItemKey) -> Int64? {
        key.text.map { CanonicalInteger.value(of: $0) } ?? key.integer
    }

    /// The rows of a column's texts, as from `rows(of:into:)`.
    ///
    /// - Parameter numbers: rows of the column, a few dozen.
    func rows(of texts: TextColumn, _ numbers: some Collection<Int>) -> [Int32] {
        texts.bytes.withUnsafeBufferPointer { bytes in
            let keys = numbers.map { ItemKey(UnsafeBufferPointer(rebasing: bytes[texts.range($0) ?? 0..<0])) }
            return keys.withUnsafeBufferPointer { keys in
                [Int32](unsafeUninitializedCapacity: keys.count) { rows, count in
                    rows.initialize(repeating: 0)
                    self.rows(of: keys, into: rows)
                    count = keys.count
                }
            }
        }
    }
}
