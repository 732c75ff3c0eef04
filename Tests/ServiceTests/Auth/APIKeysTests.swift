// The keys file and the digests in it.

import Foundation
import Testing

@testable import Service

@Suite struct APIKeysTests {
    // `printf %s abc | sha256sum`: the first vector of FIPS 180-2.
    private static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    // `printf %s "" | sha256sum`
    private static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    @Test func keys_HaveTheRolesOfTheirLines_AndOthersNone() throws {
        let keys = try APIKeySet(
            parsing: "# robots\n\n\(Self.abc) recommend\r\n  \(Self.empty)\tadmin  \n# end",
            name: "keys"
        )
        #expect(keys.count == 2)
        #expect(keys.role(of: "abc".utf8) == .recommend)
        #expect(keys.role(of: "".utf8) == .admin)
        #expect(keys.role(of: "ab".utf8) == nil)
        // The digest itself is not a valid key.
        #expect(keys.role(of: Self.abc.utf8) == nil)
    }

    @Test func adminMayWhatRecommendMay_AndNotTheOtherWayRound() {
        #expect(KeyRole.admin.includes(.recommend) && KeyRole.admin.includes(.admin))
        #expect(KeyRole.recommend.includes(.recommend) && !KeyRole.recommend.includes(.admin))
    }

    @Test(arguments: [
        ("", "keys has no keys"), ("# nothing\n", "keys has no keys"),
        ("\n\(abc)", "keys line 2 must have the SHA-256 of a key and a role"),
        ("\(abc) admin yes", "keys line 1 must have the SHA-256 of a key and a role"),
        ("secret-key admin", "keys line 1: the SHA-256 of a key must have 64 hexadecimal digits"),
        ("\(abc) root", "keys line 1: the role must be recommend or admin"),
        ("\(abc) admin\n\(abc) recommend", "keys line 2: the key is already on an earlier line"),
    ])
    func unusableFile_IsRefusedWithItsLine_AndNothingOfIt(text: String, sentence: String) {
        #expect {
            try APIKeySet(parsing: text, name: "keys")
        } throws: { error in
            String(describing: error) == sentence
        }
    }

    @Test func reload_TakesNewKeys_AndKeepsTheOldOnesWhenTheFileIsBad() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("keys-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try "\(Self.abc) admin".write(toFile: path, atomically: true, encoding: .utf8)
        let keys = try APIKeys(path: path)
        #expect(keys.role(of: "abc".utf8) == .admin)
        try "nonsense".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(throws: ConfigurationError.self) { try keys.reload() }
        #expect(keys.role(of: "abc".utf8) == .admin)
        try "\(Self.empty) admin".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try keys.reload() == 1)
        #expect(keys.role(of: "abc".utf8) == nil)
        try FileManager.default.removeItem(atPath: path)
        #expect(throws: ConfigurationError.self) { try keys.reload() }
        #expect(throws: ConfigurationError.self) { try APIKeys(path: path) }
        #expect(keys.role(of: "".utf8) == .admin)
    }

    @Test(arguments: [
        ("Bearer abc", "abc"), ("bearer abc==", "abc=="), ("BEARER   a-._~+/9", "a-._~+/9"), ("Bearer", nil),
        ("Bearer ", nil), ("Basic abc", nil), ("Bearer a b", nil), ("Bearer a,b", nil), ("Bearer =", nil),
        ("Bearer a=b", nil), ("Bearer é", nil), ("Bearerabc", nil), ("", nil), ("Bearer abc ", nil),
    ])
    func bearerToken_IsReadStrictly(field: String, token: String?) {
        #expect(Authorization.bearerToken(field).map { String(Substring($0)) } == token)
    }
}
