// Sorts the rows that a request excludes: a returning user's history has thousands, sorted for every request.

extension [Int32] {
    /// The distinct rows (or positions), ascending. None is negative.
    ///
    /// From 64 rows on, a radix sort with 11-bit digits: its time is linear in the rows.
    func ascendingRows() -> [Int32] {
        var sorted = count < 64 ? self.sorted() : radixSorted()
        var last: Int32 = -1
        var kept = 0
        for row in sorted where row != last {
            sorted[kept] = row
            kept += 1
            last = row
        }
        sorted.removeLast(sorted.count - kept)
        return sorted
    }

    private func radixSorted() -> [Int32] {
        let digit = 11
        var highest: Int32 = 0
        for row in self { highest = Swift.max(highest, row) }
        var (from, to) = (self, self)
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 1 << digit) { starts in
            for shift in stride(from: 0, to: Int32.bitWidth - highest.leadingZeroBitCount, by: digit) {
                starts.initialize(repeating: 0)
                for row in from { starts[Int(row >> Int32(shift)) & (1 << digit - 1)] += 1 }
                var sum = 0
                for index in starts.indices { (starts[index], sum) = (sum, sum + starts[index]) }
                for row in from {
                    let bucket = Int(row >> Int32(shift)) & (1 << digit - 1)
                    to[starts[bucket]] = row
                    starts[bucket] += 1
                }
                swap(&from, &to)
            }
        }
        return from
    }
}
