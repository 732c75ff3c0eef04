// Updates the popularity order after changes.

/// A row in the order of popularity: most popular first, ties to the smaller row.
private struct RankedRow {
    var value: Double
    var row: Int32

    func precedes(_ other: RankedRow) -> Bool { value != other.value ? value > other.value : row < other.row }
}

extension CatalogueSnapshot {
    /// The popularity order after some rows have moved.
    ///
    /// - Parameters:
    ///   - rows: the moved rows, which may be new.
    ///   - gone: rows that are no longer items.
    ///   - values: the new popularities, by row.
    func popularityOrder(moving rows: [Int32], dropping gone: [Int32], _ values: [Double]) -> [Int32] {
        let moved = rows.map { RankedRow(value: values[Int($0)], row: $0) }.sorted { $0.precedes($1) }
        // For few moved rows, their positions are searched and the runs between them copied; for many it is cheaper to
        // visit every row.
        return (moved.count + gone.count) * 64 < popularityOrder.count
            ? insert(moved, removing: (rows + gone).filter { contains($0) })
            : merge(moved, removing: rows + gone, values)
    }

    private func insert(_ moved: [RankedRow], removing old: [Int32]) -> [Int32] {
        let before = popularityOrder
        /// The first index whose row does not precede `place`.
        func index(of place: RankedRow) -> Int {
            var (low, high) = (0, before.count)
            while low < high {
                let middle = (low + high) / 2
                let other = RankedRow(value: popularity(before[middle]), row: before[middle])
                if other.precedes(place) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        let cuts = old.map { index(of: RankedRow(value: popularity($0), row: $0)) }.sorted()
        var order: [Int32] = []
        order.reserveCapacity(before.count + moved.count)
        var (start, nextCut) = (0, 0)
        func copy(to end: Int) {
            while nextCut < cuts.count, cuts[nextCut] < end {
                order += before[start..<cuts[nextCut]]
                start = cuts[nextCut] + 1
                nextCut += 1
            }
            order += before[start..<end]
            start = end
        }
        for place in moved {
            copy(to: index(of: place))
            order.append(place.row)
        }
        copy(to: before.count)
        return order
    }

    private func merge(_ moved: [RankedRow], removing old: [Int32], _ values: [Double]) -> [Int32] {
        var isMoved = [UInt64](repeating: 0, count: (values.count + 63) / 64)
        for row in old { isMoved.insert(row) }
        var order: [Int32] = []
        order.reserveCapacity(popularityOrder.count + moved.count)
        var next = 0
        for row in popularityOrder where !isMoved.has(row) {
            let place = RankedRow(value: values[Int(row)], row: row)
            while next < moved.count, moved[next].precedes(place) {
                order.append(moved[next].row)
                next += 1
            }
            order.append(row)
        }
        for place in moved[next...] { order.append(place.row) }
        return order
    }
}
