// The pickle reader: plain values for every opcode, inert objects for every class and call, and for damage a sentence
// with its byte offset.

import Testing

@testable import Importers

private func read(_ bytes: [UInt8]) throws -> PickleGraph {
    try bytes.withUnsafeBytes { bytes throws in try PickleReader.read(bytes, source: "p") }
}

private func message(_ bytes: [UInt8]) -> String {
    do {
        _ = try read(bytes)
        return "no error"
    } catch {
        return "\(error)"
    }
}

@Suite struct PickleReaderTests {
    @Test(arguments: [
        ("N.", PickleNode.none),
        ("\u{88}.", .boolean(true)),
        ("\u{89}.", .boolean(false)),
        ("I01\n.", .boolean(true)),
        ("I00\n.", .boolean(false)),
        ("I-7\n.", .integer(-7)),
        ("L123L\n.", .integer(123)),
        ("K\u{FF}.", .integer(255)),
        ("M\u{01}\u{02}.", .integer(513)),
        ("J\u{FE}\u{FF}\u{FF}\u{FF}.", .integer(-2)),
        ("\u{8A}\u{00}.", .integer(0)),
        ("\u{8A}\u{01}\u{80}.", .integer(-128)),
        ("\u{8A}\u{02}\u{80}\u{00}.", .integer(128)),
        ("\u{8A}\u{09}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}\u{01}.", .opaque),
        ("\u{8B}\u{01}\u{00}\u{00}\u{00}\u{05}.", .integer(5)),
        ("G\u{BF}\u{F8}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}.", .real(-1.5)),
        ("X\u{02}\u{00}\u{00}\u{00}ab.", .string("ab")),
        ("\u{8C}\u{02}ab.", .string("ab")),
        ("\u{8D}\u{01}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}a.", .string("a")),
        ("U\u{01}a.", .string("a")),
        ("U\u{01}\u{FF}.", .opaque),
        ("S'ab'\n.", .string("ab")),
        ("S\"a'b\"\n.", .string("a'b")),
        ("S'a\\x41'\n.", .opaque),
        ("Vab\n.", .string("ab")),
        ("Va\\u0041\n.", .opaque),
        ("F-1.5\n.", .real(-1.5)),
        ("Finf\n.", .real(.infinity)),
        ("I99999999999999999999\n.", .opaque),
        ("L-99999999999999999999L\n.", .opaque),
        ("\u{97}\u{98}.", .opaque),
        ("C\u{02}ab.", .opaque),
        ("\u{80}\u{05}\u{95}\u{02}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}N.", .none),
        // A value under a popped one, under a popped mark, twice, and from the memo.
        ("K\u{01}N0.", .integer(1)),
        ("K\u{01}(NN1.", .integer(1)),
        ("K\u{01}(0.", .integer(1)),
        ("K\u{01}2\u{85}0.", .integer(1)),
        ("K\u{09}q\u{07}0h\u{07}.", .integer(9)),
        ("K\u{09}\u{94}0h\u{00}.", .integer(9)),
        ("K\u{09}p3\n0g3\n.", .integer(9)),
        ("K\u{09}r\u{01}\u{02}\u{03}\u{04}0j\u{01}\u{02}\u{03}\u{04}.", .integer(9)),
    ])
    func value_OfAnOpcode(text: String, expected: PickleNode) throws {
        let graph = try read(text.unicodeScalars.map { UInt8($0.value) })
        #expect(graph[graph.root] == expected)
    }

    @Test func containers_HoldWhatWasPutIntoThem() throws {
        // {"a": [1, (), (2, 3)], 4: None}, written in small steps and in large ones.
        let graph = try read(
            Array("}(X\u{1}\0\0\0a](K\u{1})K\u{2}K\u{3}\u{86}eK\u{4}Nu.".unicodeScalars.map { UInt8($0.value) })
        )
        let entries = try #require(graph.entries(graph.root))
        #expect(entries.map(\.key) == ["a"])
        guard case .list(let number) = graph[entries[0].value] else {
            Issue.record("no list")
            return
        }
        let items = graph.arrays[Int(number)]
        #expect(items.count == 3)
        #expect(graph[items[0]] == .integer(1))
        guard case .tuple(let last) = graph[items[2]] else {
            Issue.record("no tuple")
            return
        }
        #expect(graph.arrays[Int(last)].map { graph[$0] } == [.integer(2), .integer(3)])
    }

    @Test func listThatHoldsItself_IsReadOnce() throws {
        let graph = try read(Array("]q\0h\0a.".utf8))
        guard case .list(let number) = graph[graph.root] else {
            Issue.record("no list")
            return
        }
        #expect(graph.arrays[Int(number)] == [graph.root])
    }

    @Test func nestedDoubling_TakesMemoryOnlyForWhatIsWritten() throws {
        // Each tuple contains the previous one twice: expanded, 2^4000 elements.
        var pickle = PickleBuilder()
        pickle.op(.emptyTuple)
        for _ in 0..<4000 {
            pickle.op(.dup)
            pickle.op(.tuple2)
        }
        pickle.op(.stop)
        let graph = try read(pickle.bytes)
        #expect(graph.nodes.count == 4001)
    }

    @Test func deepNesting_DoesNotOverflowTheStack() throws {
        let graph = try read(
            [UInt8](repeating: 0x5D, count: 100_000) + [UInt8](repeating: 0x61, count: 99_999) + [0x2E]
        )
        #expect(graph.nodes.count == 100_000)
    }

    /// Every way to make an object of a class; each result is one inert object.
    @Test(arguments: [
        "cos\nsystem\n)R.", "cos\nsystem\nN\u{85}R.", "cos\nsystem\n)\u{81}.", "cos\nsystem\n)}\u{92}.",
        "(ios\nsystem\n.", "(cos\nsystem\nNo.", "X\u{2}\0\0\0osX\u{6}\0\0\0system\u{93})R.", "\u{82}\u{1}.",
        "\u{83}\u{1}\0.", "\u{84}\u{1}\0\0\0.", "Pabc\n.", "NQ.", ")Q.", "ctorch._utils\n_rebuild_qtensor\n)R.",
        "ctorch._utils\n_rebuild_parameter\n)R.", "ctorch\nFloatStorage\n)R.", "ccollections\nOrderedDict\nN\u{85}R.",
        "ctorch._tensor\n_rebuild_from_type_v2\n)R.", "cos\nsystem\n)R)R.", "cos\nsystem\nNR.",
        "cos\nsystem\n)RNb.", "cos\nsystem\n)R}b.", "cos\nsystem\n)RNa.", "cos\nsystem\n)R(NNe.",
    ])
    func foreignClass_BecomesAnInertObject(text: String) throws {
        let graph = try read(text.unicodeScalars.map { UInt8($0.value) })
        guard case .object = graph[graph.root] else {
            Issue.record("\(graph[graph.root])")
            return
        }
        #expect(graph.tensors.isEmpty)
    }

    @Test func objects_HoldTheirItemsAndAttributes() throws {
        // A subclass of dict with an item and an attribute.
        let text = "cmy\nDict\n)RX\u{1}\0\0\0aK\u{1}s}X\u{1}\0\0\0bK\u{2}sb."
        let graph = try read(text.unicodeScalars.map { UInt8($0.value) })
        let entries = try #require(graph.entries(graph.root))
        #expect(entries.map(\.key) == ["a", "b"])
        #expect(entries.map { graph[$0.value] } == [.integer(1), .integer(2)])
    }

    @Test func sets_AreLists() throws {
        for text in ["\u{8F}(K\u{1}\u{90}.", "(K\u{1}\u{91}."] {
            let graph = try read(text.unicodeScalars.map { UInt8($0.value) })
            #expect(graph.children(graph.root).map { graph[$0.value] } == [.integer(1)])
        }
    }

    @Test func orderedDictionaryOfPairs_IsADictionary() throws {
        // In Python 2's form.
        let text = "ccollections\nOrderedDict\n((lp0\n(lp1\nS'a'\naI1\naatR."
        let graph = try read(text.unicodeScalars.map { UInt8($0.value) })
        let entries = try #require(graph.entries(graph.root))
        #expect(entries.map(\.key) == ["a"])
        #expect(entries.map { graph[$0.value] } == [.integer(1)])
    }

    @Test(arguments: [false, true])
    func tensorOfASubclass_IsItsTensor(isParameter: Bool) throws {
        var pickle = PickleBuilder()
        pickle.global("torch._tensor", "_rebuild_from_type_v2")
        pickle.op(.mark)
        pickle.global("torch._utils", isParameter ? "_rebuild_parameter" : "_rebuild_tensor_v2")
        pickle.global("my", "Tensor")
        let tensor = TinyTensor("t", [2, 3], key: "0")
        if isParameter {
            pickle.op(.mark)
            pickle.tensor(tensor)
            pickle.op(.newtrue)
            pickle.op(.tuple)
        } else {
            pickle.tensorArguments(tensor)
        }
        pickle.op(.emptyDict)
        pickle.op(.tuple)
        pickle.op(.reduce)
        pickle.op(.stop)
        let graph = try read(pickle.bytes)
        #expect(graph.tensor(graph.root)?.shape == [2, 3])
    }

    @Test func pickleThatIsFollowed_SaysWhereItEnds() throws {
        let bytes = Array("N.N.".utf8)
        let graph = try bytes.withUnsafeBytes { try PickleReader.read($0, source: "p", isFollowed: true) }
        #expect(graph.byteCount == 2)
    }

    /// One dictionary set repeatedly as the attributes of one object would be copied each time.
    @Test func copiesWithoutEnd_AreRefused() throws {
        var pickle = PickleBuilder()
        pickle.op(.emptyDict)
        pickle.op(.memoize)
        pickle.op(.mark)
        for _ in 0..<10_000 {
            pickle.op(.none)
            pickle.op(.none)
        }
        pickle.op(.setitems)
        pickle.global("my", "Class")
        pickle.op(.emptyTuple)
        pickle.op(.reduce)
        for _ in 0..<1000 {
            pickle.op(.binget, [0])
            pickle.op(.build)
        }
        pickle.op(.stop)
        #expect(message(pickle.bytes).contains("copied values"))
    }

    @Test func opcodeNames_AreThoseOfPickletools() {
        #expect(PickleOpcode.shortBinunicode.name == "SHORT_BINUNICODE")
        #expect(PickleOpcode.newobjEx.name == "NEWOBJ_EX")
        #expect(PickleOpcode.ext1.name == "EXT1")
    }

    @Test(arguments: [
        ("", "ends in the middle"),
        ("\u{80}", "ends in the middle"),
        ("\u{80}\u{06}N.", "protocol 6"),
        ("N", "ends in the middle"),
        (".", "byte 0: a value is missing"),
        ("NN.", "left over"),
        ("(N.", "left over"),
        ("N.N", "after STOP"),
        ("\u{FF}", "0xff is not an opcode"),
        ("0", "a value is missing"),
        ("1", "a mark is missing"),
        ("t", "a mark is missing"),
        ("\u{85}", "a value is missing"),
        ("(N\u{86}", "a value is missing"),
        ("h\u{03}.", "no value 3"),
        ("Na.", "a value is missing"),
        ("NNa.", "no list"),
        ("]NNs.", "no dictionary"),
        ("}(Nu.", "key without a value"),
        ("}(N(u.", "no dictionary"),
        ("X\u{FF}\u{FF}\u{FF}\u{FF}a.", "ends in the middle"),
        ("\u{8D}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}a.", "ends in the middle"),
        ("\u{8B}\u{FF}\u{FF}\u{FF}\u{FF}.", "ends in the middle"),
        ("\u{95}\u{FF}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}\u{00}N.", "frame"),
        ("Iabc\n.", "not an integer"),
        ("NNR.", "not a function"),
        ("N)R.", "not a function"),
        ("NNb.", "something that has none"),
        ("Fabc\n.", "not a number"),
        ("Sab\n.", "without quotes"),
        ("S\n.", "without quotes"),
        ("Nabc", "a value is missing"),
        ("(o", "a value is missing"),
        ("(No.", "not a function"),
        ("NN\u{93}.", "two strings"),
        ("ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor without a storage"),
    ])
    func damage_IsOneSentence(text: String, expected: String) {
        let message = message(text.unicodeScalars.map { UInt8($0.value) })
        #expect(message.contains(expected), "\(message)")
        #expect(message.hasPrefix("p: "))
        #expect(!message.contains("\n"))
    }

    @Test func longLine_StaysShort() {
        #expect(message(Array("c".utf8) + [UInt8](repeating: 0x61, count: 5000) + [0x0A]).contains("more than 4096"))
        #expect(message(Array("I".utf8) + [UInt8](repeating: 0x61, count: 4000) + [0x0A]).utf8.count < 200)
    }

    @Test func negativeSizeAndTooManyDimensions_AreRefused() {
        var tensor = TinyTensor("t", [1], key: "0")
        for (shape, strides) in [
            ([-1], [1]), ([1], [-1]), ([1], [1, 1]), ([Int](repeating: 1, count: 9), [Int](repeating: 1, count: 9)),
        ] {
            (tensor.shape, tensor.strides) = (shape, strides)
            var pickle = PickleBuilder()
            pickle.tensor(tensor)
            pickle.op(.stop)
            #expect(message(pickle.bytes).contains("a tensor without"))
        }
    }
}
