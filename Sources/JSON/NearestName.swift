// The name that was probably meant, for errors about an unknown name.

/// The candidate with the smallest edit distance (insertions, deletions, substitutions and swaps of neighbours, by
/// UTF-8 bytes); the first of equally near ones. Nil if more than a third of the longer name would have to change.
///
/// Names are cut at 256 bytes and candidates at 10 000, because both may come from a file.
///
/// - Parameters:
///   - name: the unknown name.
///   - names: the candidates, in the order that breaks ties.
///   - most: a tighter limit on the distance.
package func nearestName(to name: String, among names: some Sequence<String>, within most: Int = .max) -> String? {
    let wanted = Array(name.utf8.prefix(256))
    var nearest: (name: String, distance: Int)?
    for candidate in names.prefix(10_000) {
        let bytes = Array(candidate.utf8.prefix(256))
        let limit = min(max(wanted.count, bytes.count) / 3, most, (nearest?.distance ?? .max) - 1)
        guard abs(bytes.count - wanted.count) <= limit, let distance = editDistance(wanted, bytes, atMost: limit) else {
            continue
        }
        nearest = (candidate, distance)
    }
    return nearest?.name
}

/// The restricted Damerau–Levenshtein distance, computed row by row; nil if it exceeds `limit`.
private func editDistance(_ left: [UInt8], _ right: [UInt8], atMost limit: Int) -> Int? {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for i in 0..<left.count {
        var row = [i + 1]
        row.reserveCapacity(right.count + 1)
        for j in 0..<right.count {
            var distance = min(last[j + 1] + 1, row[j] + 1, last[j] + (left[i] == right[j] ? 0 : 1))
            if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                distance = min(distance, beforeLast[j - 1] + 1)
            }
            row.append(distance)
        }
        // The minimum of a row never decreases.
        guard row.contains(where: { $0 <= limit }) else { return nil }
        (beforeLast, last) = (last, row)
    }
    guard let distance = last.last, distance <= limit else { return nil }
    return distance
}
