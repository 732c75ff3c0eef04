// Tables of interactions as data sets share them, and tables that cannot be read.

import Foundation
import Testing

@testable import Interactions

@Suite struct InteractionLogTests {
    private func log(_ text: String) throws(InteractionLogError) -> InteractionLog {
        try InteractionLog(parsing: Data(text.utf8), name: "t.tsv")
    }

    private func events(_ log: InteractionLog, _ user: Int) -> [String] {
        log.users[user].events.map { "\($0.item)@\($0.timestamp)" }
    }

    @Test(arguments: [
        "user\titem\ttimestamp\nu1\ta\t5\n",
        "user_id:token\titem_id:token\ttimestamp:float\r\nu1\ta\t5.7\r\n",
        "rating\ttimestamp\titem_id\tuser\n3\t5\ta\tu1",
    ])
    func findsColumnsByName(text: String) throws {
        let log = try log(text)
        #expect(log.users.map(\.id) == ["u1"])
        #expect(events(log, 0) == ["a@5"])
    }

    @Test func ordersEventsByTime_AndKeepsTheFilesOrderWithinASecond() throws {
        let log = try log("user\titem\ttimestamp\nu\tc\t9\nv\tx\t1\nu\ta\t5\nu\tb\t5\nu\td\t5\n")
        #expect(log.users.map(\.id) == ["u", "v"])
        #expect(events(log, 0) == ["a@5", "b@5", "d@5", "c@9"])
    }

    @Test(arguments: [
        ("", "t.tsv is empty"),
        ("user\titem\n", "t.tsv, line 1: no column is named timestamp"),
        ("user\tuser_id\titem\ttimestamp\n", "t.tsv, line 1: more than one column is named user or user_id"),
        ("user\titem\ttimestamp\nu\ta\n", "t.tsv, line 2: has 2 columns, the header has 3"),
        ("user\titem\ttimestamp\nu\ta\t1\nu\ta\tnoon\n", "t.tsv, line 3: the timestamp is not a number of seconds"),
        ("user\titem\ttimestamp\nu\ta\t1e300\n", "t.tsv, line 2: the timestamp is not a number of seconds"),
    ])
    func refuses_WithOneSentenceThatNamesTheLine(text: String, sentence: String) {
        #expect(throws: InteractionLogError(description: sentence)) { try log(text) }
    }

    @Test func refusesBytesThatAreNotText() {
        let bytes = Data("user\titem\ttimestamp\n".utf8) + Data([0xFF, 0x09, 0x61, 0x09, 0x31])
        #expect(throws: InteractionLogError(description: "t.tsv, line 2: is not valid UTF-8")) {
            try InteractionLog(parsing: bytes, name: "t.tsv")
        }
    }
}
