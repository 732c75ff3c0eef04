// Orders the jobs of a queue by when they are due. A pure value.

/// Jobs ordered by due time.
///
/// A sorted array: most jobs enter at the end and leave near the front, and admission needs the jobs after a new one,
/// which a heap cannot list. Moving a thousand elements takes less than a microsecond.
struct DueOrder: Sendable {
    struct Place: Sendable, Comparable {
        let due: UInt64
        /// Breaks ties between equal due times in order of arrival.
        let number: UInt64
        let job: UInt64

        static func < (left: Place, right: Place) -> Bool { (left.due, left.number) < (right.due, right.number) }
    }

    private(set) var places: [Place] = []

    mutating func insert(_ place: Place) { places.insert(place, at: index { $0 < place }) }

    mutating func remove(_ place: Place) {
        let index = index { $0 < place }
        if index < places.count, places[index] == place { places.remove(at: index) }
    }

    /// The jobs that are due later.
    func behind(_ due: UInt64) -> ArraySlice<Place> { places[index { $0.due <= due }...] }

    /// The number of places for which `isBefore` is true; they form a prefix.
    private func index(_ isBefore: (Place) -> Bool) -> Int {
        var low = 0
        var high = places.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(places[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
