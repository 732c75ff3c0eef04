// The name that was probably meant: for error sentences about a name that is not there.

/// The name with the smallest edit distance (insertions, deletions, substitutions and swaps of neighbours, by UTF-8 bytes) to
/// another; of equally near ones the first. Nil if none is near: more than a third of the longer name would have to change.
///
/// Cut short at 256 bytes, and at 10 000 names, because both may come from a file.
///
/// - Parameters:
///   - name: the name looked for.
///   - names: the candidates, in the order for breaking ties.
///   - most: the largest distance that counts, if a third is too much.
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

/// The restricted Damerau–Levenshtein distance, row by row; nil if it is more than `limit`.
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
        // Distances along a path never fall.
        guard row.contains(where: { $0 <= limit }) else { return nil }
        (beforeLast, last) = (last, row)
    }
    guard let distance = last.last, distance <= limit else { return nil }
    return distance
}
