// The name that was probably intended.

import JSON
import Testing

@Suite struct NearestNameTests {
    private let names = ["heads", "layers", "width", "item_rows", "item_row"]

    @Test(arguments: [
        ("heads", "heads"), ("haeds", "heads"), ("head", "heads"), ("headss", "heads"), ("hoads", "heads"),
        ("item_rosw", "item_rows"), ("item_rws", "item_rows"), ("layres", "layers"),
    ])
    func misspeltName_IsFound(name: String, expected: String) {
        #expect(nearestName(to: name, among: names) == expected)
    }

    @Test(arguments: ["", "x", "hxxds", "depth", "completely_other"])
    func otherName_IsNotGuessed(name: String) {
        #expect(nearestName(to: name, among: names) == nil)
    }

    @Test func ofEquallyNear_TheFirstCounts() {
        #expect(nearestName(to: "abcx", among: ["abcd", "abce"]) == "abcd")
        #expect(nearestName(to: "abcx", among: ["abce", "abcd"]) == "abce")
        #expect(nearestName(to: "a", among: []) == nil)
    }

    @Test func limit_BoundsTheDistance() {
        #expect(nearestName(to: "HTTP_LISTN", among: ["HTTP_LISTEN"], within: 1) == "HTTP_LISTEN")
        #expect(nearestName(to: "HTTP_LITN", among: ["HTTP_LISTEN"], within: 1) == nil)
    }

    /// Names of a file may be long and many.
    @Test func longNames_AreComparedByTheirStart() {
        let long = String(repeating: "a", count: 100_000)
        #expect(nearestName(to: long + "b", among: [long]) == long)
    }
}
