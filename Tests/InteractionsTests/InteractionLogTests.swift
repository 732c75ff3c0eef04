// Interaction files in the formats of public data sets, and unreadable files.

import TestSupport
import Testing

@testable import Interactions

private func log(
    _ text: String,
    columns: String? = nil,
    unit: TimeUnit? = nil
) throws(InteractionLogError) -> InteractionLog {
    try InteractionLog(
        parsing: Array(text.utf8),
        name: "t.tsv",
        options: InteractionOptions(columns: columns?.split(separator: ",").map(String.init), timeUnit: unit)
    )
}

private func events(_ log: InteractionLog) -> [String] {
    log.users.flatMap { user in user.events.map { "\(user.id) \($0.item) \($0.timestamp)" } }
}

@Suite struct InteractionLogTests {
    /// The first lines of public data sets in their original formats.
    @Test(arguments: [
        // RecBole's atomic files.
        (
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n196\t242\t3\t881250949.5\r\n",
            "196 242 881250949"
        ),
        // MovieLens 20M and 25M.
        ("userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n", "1 296 1147880044"),
        // Amazon reviews 2023, with the variant's asin beside the product's; times in milliseconds.
        (
            "rating,title,text,asin,parent_asin,user_id,timestamp\n"
                + "5.0,\"Such a \"\"lovely\"\" scent,\nthat\",\"nice; yes\",B00YQ6X8EO,B00ZQ,AGKH,1588687728\n",
            "AGKH B00ZQ 1588687728"
        ),
        // KuaiRand.
        (
            "user_id,video_id,date,hourmin,time_ms,is_click\n0,5069,20220508,1800,1652004000123,1\n",
            "0 5069 1652004000"
        ),
        // BookCrossing, which has no times.
        ("\"User-ID\";\"ISBN\";\"Book-Rating\"\r\n\"276725\";\"034545104X\";\"0\"\r\n", "276725 034545104X 0"),
        // Retailrocket in seconds; the column of the transaction is empty.
        (
            "timestamp,visitorid,event,itemid,transactionid\n1433221332,257597,view,355908,\n",
            "257597 355908 1433221332"
        ),
        // Amazon reviews 2014 and 2018.
        (
            #"{"reviewerID": "A2SU", "asin": "0000013714", "helpful": [0, 0], "unixReviewTime": 1252800000, "x": null}"#,
            "A2SU 0000013714 1252800000"
        ),
        ("user item timestamp\n1  2\t3\n", "1 2 3"),
        ("user::item::ts\na:b::c::5", "a:b c 5"),
        ("\n\nitem\tuser\n\"a\"\tb\n\n", "b a 0"),
        ("\"user\"\t\"item\"\t\"timestamp\"\n\"u,1\"\t\"i\"\t\"5\"\n", "u,1 i 5"),
        (" user , item , timestamp \n u , i , 7 \n", "u i 7"),
        ("user,item,timestamp\n\"a\"\"b\",\"c\nd\",7\ne,f,8\n", "a\"b c\nd 7|e f 8"),
    ])
    func findsColumnsByName(text: String, expected: String) throws {
        #expect(events(try log(text)).joined(separator: "|") == expected)
    }

    /// MovieLens 100K, MovieLens 1M, Amazon's ratings, Gowalla-like blanks: no header.
    @Test(arguments: [
        ("196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "user,item,rating,timestamp", "196 242 881250949"),
        ("1::1193::5::978300760\r\n1::661::3::978302109\r\n", "user,item,rating,timestamp", "1 1193 978300760"),
        ("A1YJ,0528881469,5.0,1370476800\nA2,B2,1.0,1\n", "user,item,rating,timestamp", "A1YJ 0528881469 1370476800"),
        ("1 2 3\n2 3 4\n", "user,item,_", "1 2 0"),
        ("1;5;2\n1;6;3\n", "item_id,timestamp,user_id", "2 1 5"),
        // A header is recognised even if the caller names the columns.
        ("u,v,t\n1,2,3\n", "user,item,timestamp", "1 2 3"),
        ("user,item,timestamp\n1,2,3\n", "item,user,timestamp", "2 1 3"),
    ])
    func columnsAreNamedByTheCaller(text: String, columns: String, expected: String) throws {
        #expect(events(try log(text, columns: columns)).first == expected)
    }

    @Test func ordersEventsByTime_AndKeepsTheFilesOrderWithinASecond() throws {
        let log = try log("user\titem\ttimestamp\nu\tc\t9\nv\tx\t1\nu\ta\t5\nu\tb\t5\nu\td\t5\n")
        #expect(events(log) == ["u a 5", "u b 5", "u d 5", "u c 9", "v x 1"])
        #expect(log.hasTimestamps)
    }

    /// Fractions of a second are cut off only once the events are in order.
    @Test(
        arguments: [
            ("u,d,1700000000900\nu,c,1700000000100\nu,b,1700000000100\nu,a,1699999999999\n", .milliseconds),
            ("u,d,1700000000.9\nu,c,1700000000.1\nu,b,1700000000.1\nu,a,1699999999.999\n", .seconds),
            ("u,d,1700000000000009\nu,c,1700000000000001\nu,b,1700000000000001\nu,a,1699999999999999\n", .microseconds),
            (
                "u,d,2023-11-14T22:13:20.000009Z\nu,c,2023-11-14T22:13:20.000001\n"
                    + "u,b,2023-11-14T23:13:20.000001+01:00\nu,a,2023-11-14 22:13:19.9\n", .iso
            ),
        ] as [(String, TimeUnit)]
    )
    func eventsWithinASecond_AreInTheOrderOfTheirTimes(lines: String, unit: TimeUnit) throws {
        let times = ["u a 1699999999", "u c 1700000000", "u b 1700000000", "u d 1700000000"]
        #expect(events(try log("user,item,timestamp\n" + lines, unit: unit)) == times)
        var options = InteractionOptions(timeUnit: unit)
        options.readsActions = true
        let text = "user,item,timestamp,event\n" + lines.replacing("\n", with: ",view\n")
        let read = try InteractionLog(parsing: Array(text.utf8), name: "t", options: options)
        #expect(events(read) == times && read.users[0].actions == ["view", "view", "view", "view"])
    }

    /// "é" as one character and as two.
    @Test func idsThatOnlyLookEqual_AreDifferentUsers() throws {
        let log = try log("user\titem\ttimestamp\n\u{E9}\ta\t1\ne\u{301}\ta\t1\n\u{E9}\tb\t2\n")
        #expect(log.users.map { $0.id.unicodeScalars.count } == [1, 2])
        #expect(log.users.map(\.events.count) == [2, 1])
    }

    @Test(arguments: ["0x10", "inf", "nan", "1_000", "1,5", "1e400", "", "--1", "1e"])
    func whatIsNoDecimalNumber_IsNoTime(text: String) {
        #expect(throws: InteractionLogError.self) { try log("user\titem\ttimestamp\nu\ta\t\(text)\n") }
    }

    /// An action belongs to its event; events without one have none, even if the first action is in a later line.
    @Test(
        arguments: [
            (
                "user,item,timestamp,rating,action\nu,b,2,5,buy\nu,a,1,4,\nv,a,1,4,view\n", nil,
                ["u: nil buy", "v: view"]
            ),
            ("1\t7\t3\t10\n1\t8\t4.5\t5\n", "user,item,rating,timestamp", ["1: 4.5 3"]),
            ("1\t7\t3\t10\n1\t8\t4.5\t5\n", "user,item,-,timestamp", ["1:"]),
            ("user item time\nu a 1\n", nil, ["u:"]),
            (
                #"{"user_id":"u","item":"a","timestamp":3}"# + "\n"
                    + #"{"user_id":"u","item":"b","timestamp":1,"action":"buy"}"# + "\n"
                    + #"{"user_id":"v","item":"b","timestamp":1,"action":null,"event":"x"}"# + "\n"
                    + #"{"user_id":"u","item":"b","timestamp":2,"action":7}"#,
                nil, ["u: buy 7 nil", "v:"]
            ),
        ] as [(String, String?, [String])]
    )
    func actions_AreReadWhereTheyAreWanted(text: String, columns: String?, expected: [String]) throws {
        var options = InteractionOptions(columns: columns?.split(separator: ",").map(String.init))
        options.readsActions = true
        let read = try InteractionLog(parsing: Array(text.utf8), name: "t", options: options)
        let actions = read.users.map { user in
            (["\(user.id):"] + user.actions.map { $0 ?? "nil" }).joined(separator: " ")
        }
        #expect(actions == expected)
        options.readsActions = false
        let plain = try InteractionLog(parsing: Array(text.utf8), name: "t", options: options)
        #expect(events(plain) == events(read))
        #expect(plain.users.allSatisfy { $0.actions.isEmpty })
    }

    @Test func withoutTimes_TheFilesOrderIsThatOfTheEvents() throws {
        let log = try log("user,item\nu,c\nv,x\nu,a\n")
        #expect(events(log) == ["u c 0", "u a 0", "v x 0"])
        #expect(!log.hasTimestamps)
    }

    @Test(
        arguments: [
            ("1700709188", nil, 1_700_709_188), ("1700709188123", .milliseconds, 1_700_709_188),
            ("1700709188123456", .microseconds, 1_700_709_188), ("-1", .milliseconds, -1),
            ("1.7e9", nil, 1_700_000_000),
            ("253402300799", nil, 253_402_300_799), ("2009-05-04T23:08:57Z", .iso, 1_241_478_537),
            ("2009-05-04 23:08:57.25", .iso, 1_241_478_537), ("2009-05-05T01:08+02:00", .iso, 1_241_478_480),
            ("2009-05-04T18:08:57-0500", .iso, 1_241_478_537), ("2018-07-07 22:09:11 UTC", .iso, 1_531_001_351),
            ("2000-02-29", .iso, 951_782_400), ("1969-12-31T23:59:59Z", .iso, -1),
            ("0001-01-01", .iso, -62_135_596_800),
        ] as [(String, TimeUnit?, Int64)]
    )
    func timesAreRead(text: String, unit: TimeUnit?, seconds: Int64) throws {
        #expect(try log("user\titem\ttimestamp\nu\ti\t\(text)\n", unit: unit).users[0].events[0].timestamp == seconds)
    }

    @Test(
        arguments: [
            ("", nil, nil, "t.tsv is empty"),
            ("\n \n", nil, nil, "t.tsv is empty"),
            (
                "196\t242\t3\n1\t2\t3\n", nil, nil,
                "t.tsv, line 1: no column is named user (or user_id, userId, reviewerID, …); found, split at tabs: "
                    + "\"196\", \"242\", \"3\". If there is no header, name the columns: "
                    + "--columns user,item,rating,timestamp"
            ),
            (
                "\nuser,what\nu,a\n", nil, nil,
                "t.tsv, line 2: no column is named item (or item_id, movieId, parent_asin, asin, …); found, split at commas: "
                    + "\"user\", \"what\". If there is no header, name the columns: --columns user,item,rating,timestamp"
            ),
            (
                "user_id\tuserId\titem\nu\tv\ta\n", nil, nil,
                "t.tsv, line 1: more than one column is named user (or user_id, userId, reviewerID, …); found, split at tabs: "
                    + "\"user_id\", \"userId\", \"item\". If there is no header, name the columns: "
                    + "--columns user,item,rating,timestamp"
            ),
            (
                "1,2\n", "user,rating", nil,
                "--columns user,rating: no column is named item (or item_id, movieId, parent_asin, asin, …)"
            ),
            (
                "user\titem\ttimestamp\nu\ta\n", nil, nil,
                "t.tsv, line 2: has 2 columns, not 3; found, split at tabs: \"u\", \"a\""
            ),
            (
                "user,item,timestamp\nu,\"a\nb\",1\nu,a,noon\n", nil, nil,
                "t.tsv, line 4: the timestamp \"noon\" is not a number of seconds; found, split at commas: "
                    + "\"u\", \"a\", \"noon\""
            ),
            (
                "user\titem\ttimestamp\nu\ta\t2009-05-04\n", nil, nil,
                "t.tsv, line 2: the timestamp \"2009-05-04\" is not a number of seconds; for dates, use --time-unit iso; "
                    + "found, split at tabs: \"u\", \"a\", \"2009-05-04\""
            ),
            (
                "user\titem\ttimestamp\nu\ta\t1588687728923\n", nil, nil,
                "t.tsv, line 2: the timestamp \"1588687728923\" lies after the year 9999 as a number of seconds; "
                    + "if it is a number of milliseconds, use --time-unit ms"
            ),
            (
                "user\titem\ttimestamp\nu\ta\t1588687728923456\n", nil, .milliseconds,
                "t.tsv, line 2: the timestamp \"1588687728923456\" lies after the year 9999 as a number of milliseconds; "
                    + "if it is a number of microseconds, use --time-unit us"
            ),
            (
                "user\titem\ttimestamp\nu\ta\t2009-02-29\n", nil, .iso,
                "t.tsv, line 2: the timestamp \"2009-02-29\" is not an ISO 8601 date; found, split at tabs: "
                    + "\"u\", \"a\", \"2009-02-29\""
            ),
            ("user,item\nu,\"a\nb\n", nil, nil, "t.tsv, line 2: a quote is not closed"),
            ("user,item\n,b\n", nil, nil, "t.tsv, line 2: the user is empty; found, split at commas: \"\", \"b\""),
            (
                "{\"user\":\"u\",\"item\":1}\n{\"user\":\"u\"}\n", nil, nil,
                "t.tsv, line 2: \"item\" is missing, empty, or neither a string nor a number; found: \"user\""
            ),
            (
                "{\"who\":\"u\",\"item\":1}\n", nil, nil,
                "t.tsv, line 1: no column is named user (or user_id, userId, reviewerID, …); found: \"who\", \"item\""
            ),
            (
                "{\"user\":\"u\",\"item\":1}\n{\"user\":\"u\",}\n", nil, nil,
                "t.tsv, line 2: byte 12: expected a key in double quotes"
            ),
        ] as [(String, String?, TimeUnit?, String)]
    )
    func refuses_WithOneSentence(text: String, columns: String?, unit: TimeUnit?, sentence: String) {
        do {
            _ = try log(text, columns: columns, unit: unit)
            Issue.record("no error")
        } catch {
            #expect(error.description == sentence)
        }
    }

    @Test func bytesThatAreNotUTF8_AreNamedByLineAndByte_WhereTheyMatter() throws {
        let header = Array("user,item,title\n".utf8)
        func parse(_ line: [UInt8]) throws(InteractionLogError) -> InteractionLog {
            try InteractionLog(parsing: header + line, name: "t.csv")
        }
        let title = Array("u,b,caf".utf8) + [0xE9]
        #expect(events(try parse(title)) == ["u b 0"])
        let sentence =
            "t.csv, line 2: byte 5 (0xE9) is not UTF-8; if the file is in Windows-1252, convert it with "
            + "iconv -f WINDOWS-1252 -t UTF-8"
        #expect(throws: InteractionLogError(description: sentence)) {
            try parse(Array("u,caf".utf8) + [0xE9] + Array(",x".utf8))
        }
    }

    @Test func file_MayBeCompressed_AndHaveAByteOrderMark() throws {
        let folder = try TemporaryDirectory()
        let text = Array("\u{FEFF}userId,itemId\r\nu,i\r\nu,j".utf8)
        for bytes in [text, try gzip(text)] {
            #expect(events(try InteractionLog(path: folder.write("f", bytes))) == ["u i 0", "u j 0"])
        }
    }

    /// Damaged files are read or refused; neither crashes.
    @Test func damagedFiles_DoNotCrash() {
        var mutation = Mutation(
            seed: 14,
            seeds: [
                "user\titem\ttimestamp\nu\ta\t5\nv\tb\t6\n", "\"u\";\"item\"\r\n\"a\";\"b\"\"\"\r\n",
                "user::item::ts\na::b::5", "user item\na b", "user,item,date\nu,\"a\nb\",2009-05-04T23:08:57Z\n",
                "{\"user\":\"u\",\"item\":1,\"ts\":\"5\"}\n",
            ],
            fragments: ["\t", "::", ";", ",", "\r\n", "\n\n", "\"\"", "user", "item", "timestamp", "1e300", "-"]
        )
        let start = ContinuousClock.now
        var round = 0
        while Mutation.shouldGoOn(round: round, of: 3_000, since: start) {
            let text = mutation.next()
            for columns in [nil, ["user", "item", "timestamp"]] {
                for unit in [nil, TimeUnit.iso] {
                    _ = try? InteractionLog(
                        parsing: text,
                        name: "t",
                        options: InteractionOptions(columns: columns, timeUnit: unit)
                    )
                }
            }
            round += 1
        }
    }
}
