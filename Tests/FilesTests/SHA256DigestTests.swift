// Digests against the standard's vectors, and their text.

import Files
import Testing

@Suite struct SHA256DigestTests {
    // `printf %s abc | sha256sum`: the first vector of FIPS 180-2.
    private static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    // `printf %s "" | sha256sum`
    private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test func digest_IsSHA256() throws {
        let digest = try #require(SHA256Digest(of: "abc".utf8))
        #expect(digest.isEqual(to: try #require(SHA256Digest(hexadecimal: Self.abc))))
        #expect(digest.isEqual(to: try #require(SHA256Digest(hexadecimal: Self.abc.uppercased()))))
        #expect(!digest.isEqual(to: try #require(SHA256Digest(of: "abd".utf8))))
        #expect(digest.hexadecimal == Self.abc)
        #expect(SHA256Digest(of: [])?.bytes == SHA256Digest(hexadecimal: Self.empty)?.bytes)
    }

    @Test(arguments: ["", "ba78", abc + "00", String(abc.dropLast()), String(abc.dropLast()) + "g", abc + " "])
    func digest_IsNotReadFromOtherText(text: String) {
        #expect(SHA256Digest(hexadecimal: text) == nil)
    }
}
