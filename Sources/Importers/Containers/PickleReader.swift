// Interprets the part of pickle that a checkpoint of tensors and plain values needs, protocols 0 to 5. Pickle is a
// program for a stack machine that may call anything; here it can only build plain values, and views of storages by way
// of the globals in `PickleGlobal`. Whatever else it asks for is refused by name.
//
// One pass without recursion. Every opcode makes at most one node, so memory grows with the length of the pickle, which
// is bounded; values are referred to by number, so taking one from the memo a million times copies nothing.

internal import JSON
import Models

/// The machine that reads one pickle.
struct PickleReader {
    /// Bounds that no honest checkpoint meets; a tensor takes some ten nodes.
    enum Limit {
        static let byteCount = 64 << 20
        /// Of nodes, of the stack, of the memo.
        static let values = 1 << 22
        static let tensors = 1 << 20
        static let rank = 8
    }

    private let source: String
    private var reader: LittleEndianReader
    /// Where the opcode that is being run starts.
    private var opcodeOffset = 0
    private var stack: [PickleID] = []
    /// Heights of the stack at which a mark lies.
    private var marks: [Int] = []
    private var memo: [UInt32: PickleID] = [:]
    private var nodes: [PickleNode] = []
    private var arrays: [[PickleID]] = []
    private var storages: [TorchStorage] = []
    private var tensors: [TorchTensor] = []

    private init(_ bytes: UnsafeRawBufferPointer, source: String) {
        self.source = source
        reader = LittleEndianReader(bytes)
    }

    /// Reads a pickle.
    ///
    /// - Parameters:
    ///   - bytes: all of it, up to and with STOP.
    ///   - source: what errors call it.
    /// - Throws: `ImportError` with the byte and the opcode or global: `.malformed` for what is no pickle,
    ///   `.unsupported` for what is one but goes beyond tensors and plain values.
    static func read(_ bytes: UnsafeRawBufferPointer, source: String) throws(ImportError) -> PickleGraph {
        guard bytes.count <= Limit.byteCount else {
            throw ImportError(.unsupported, "\(source): a pickle of more than \(Limit.byteCount) bytes")
        }
        var reader = PickleReader(bytes, source: source)
        do {
            return try reader.run()
        } catch let error as ImportError {
            throw error
        } catch {
            throw reader.malformed("it ends in the middle of an opcode")
        }
    }

    private func malformed(_ reason: String) -> ImportError {
        ImportError(.malformed, "\(source): damaged pickle at byte \(opcodeOffset): \(reason)")
    }

    private func unsupported(_ what: String) -> ImportError {
        ImportError(
            .unsupported,
            "\(source): the pickle asks for \(what) at byte \(opcodeOffset), but only tensors and plain values are read"
        )
    }

    // MARK: - Opcodes

    // Untyped, because ends of bytes and faults of content come together here.
    private mutating func run() throws -> PickleGraph {
        while true {
            opcodeOffset = reader.position
            let byte = try reader.integer(UInt8.self)
            guard let opcode = PickleOpcode(rawValue: byte) else {
                throw malformed("0x\(String(byte, radix: 16)) is no opcode")
            }
            if opcode == .stop { break }
            try execute(opcode)
        }
        let root = try pop()
        guard stack.isEmpty, marks.isEmpty else { throw malformed("values are left over at its end") }
        guard reader.remaining == 0 else { throw malformed("it goes on after STOP") }
        return PickleGraph(root: root, nodes: nodes, arrays: arrays, tensors: tensors)
    }

    private mutating func execute(_ opcode: PickleOpcode) throws {
        switch opcode {
        case .proto:
            let version = try reader.integer(UInt8.self)
            guard version <= 5 else { throw unsupported("protocol \(version)") }
        case .frame:
            guard try reader.integer(UInt64.self) <= UInt64(reader.remaining) else {
                throw malformed("a frame goes beyond its end")
            }
        case .mark:
            guard marks.count < Limit.values else { throw tooLarge() }
            marks.append(stack.count)
        case .pop:
            // A mark is an element of Python's stack too.
            if marks.last == stack.count { marks.removeLast() } else { _ = try pop() }
        case .popMark: _ = try popToMark()
        case .dup: try push(top())

        case .none: try push(.none)
        case .newtrue: try push(.boolean(true))
        case .newfalse: try push(.boolean(false))
        case .binint1: try push(.integer(Int64(reader.integer(UInt8.self))))
        case .binint2: try push(.integer(Int64(reader.integer(UInt16.self))))
        case .binint: try push(.integer(Int64(reader.integer(Int32.self))))
        case .long1: try pushLong(byteCount: Int(reader.integer(UInt8.self)))
        case .long4: try pushLong(byteCount: Int(reader.integer(Int32.self)))
        case .int: try pushDecimal(isInt: true)
        case .long: try pushDecimal(isInt: false)
        case .binfloat: try push(.real(Double(bitPattern: reader.integer(UInt64.self).byteSwapped)))

        case .shortBinunicode, .shortBinstring: try pushString(byteCount: UInt64(reader.integer(UInt8.self)))
        case .binunicode, .binstring: try pushString(byteCount: UInt64(reader.integer(UInt32.self)))
        case .binunicode8: try pushString(byteCount: reader.integer(UInt64.self))
        case .shortBinbytes: try pushBytes(byteCount: UInt64(reader.integer(UInt8.self)))
        case .binbytes: try pushBytes(byteCount: UInt64(reader.integer(UInt32.self)))
        case .binbytes8, .bytearray8: try pushBytes(byteCount: reader.integer(UInt64.self))

        case .emptyTuple: try push(.tuple(addArray([])))
        case .tuple1: try pushTuple(1)
        case .tuple2: try pushTuple(2)
        case .tuple3: try pushTuple(3)
        case .tuple: try push(.tuple(addArray(popToMark())))
        case .emptyList: try push(.list(addArray([])))
        case .list: try push(.list(addArray(popToMark())))
        case .append:
            let value = try pop()
            try appendToList([value])
        case .appends: try appendToList(popToMark())
        case .emptyDict: try push(.dictionary(addArray([])))
        case .dict:
            let items = try popToMark()
            try push(.dictionary(addArray([])))
            try appendToDictionary(items)
        case .setitem:
            let value = try pop()
            let key = try pop()
            try appendToDictionary([key, value])
        case .setitems: try appendToDictionary(popToMark())

        case .memoize: try remember(UInt32(memo.count))
        case .binput: try remember(UInt32(reader.integer(UInt8.self)))
        case .longBinput: try remember(reader.integer(UInt32.self))
        case .put: try remember(memoNumber())
        case .binget: try recall(UInt32(reader.integer(UInt8.self)))
        case .longBinget: try recall(reader.integer(UInt32.self))
        case .get: try recall(memoNumber())

        case .global:
            let module = try line()
            try pushGlobal(module: module, name: line())
        case .stackGlobal:
            guard case .string(let name) = try node(pop()), case .string(let module) = try node(pop()) else {
                throw malformed("STACK_GLOBAL without two strings")
            }
            try pushGlobal(module: module, name: name)
        case .binpersid: try pushStorage()
        case .reduce: try reduce()
        case .build: try build()

        case .stop, .float, .persid, .string, .unicode, .inst, .obj, .newobj, .newobjEx, .ext1, .ext2, .ext4,
            .emptySet, .additems, .frozenset, .nextBuffer, .readonlyBuffer:
            throw unsupported("the opcode \(opcode.name)")
        }
    }

    // MARK: - Stack and memo

    private func node(_ id: PickleID) -> PickleNode { nodes[Int(id.index)] }

    private mutating func push(_ node: PickleNode) throws {
        guard nodes.count < Limit.values else { throw tooLarge() }
        nodes.append(node)
        try push(PickleID(index: Int32(nodes.count - 1)))
    }

    private mutating func push(_ id: PickleID) throws {
        guard stack.count < Limit.values else { throw tooLarge() }
        stack.append(id)
    }

    private func tooLarge() -> ImportError { unsupported("more than \(Limit.values) values") }

    private func top() throws -> PickleID {
        guard let id = stack.last, stack.count > marks.last ?? 0 else { throw malformed("a value is missing") }
        return id
    }

    private mutating func pop() throws -> PickleID {
        let id = try top()
        stack.removeLast()
        return id
    }

    private mutating func popToMark() throws -> [PickleID] {
        guard let mark = marks.popLast() else { throw malformed("a mark is missing") }
        let items = Array(stack[mark...])
        stack.removeSubrange(mark...)
        return items
    }

    private mutating func remember(_ number: UInt32) throws {
        guard memo.count < Limit.values else { throw tooLarge() }
        memo[number] = try top()
    }

    private mutating func recall(_ number: UInt32) throws {
        guard let id = memo[number] else { throw malformed("the memo has no value \(number)") }
        try push(id)
    }

    private mutating func addArray(_ items: [PickleID]) -> Int32 {
        arrays.append(items)
        return Int32(arrays.count - 1)
    }

    private mutating func pushTuple(_ count: Int) throws {
        guard stack.count - (marks.last ?? 0) >= count else { throw malformed("a value is missing") }
        let items = Array(stack.suffix(count))
        stack.removeLast(count)
        try push(.tuple(addArray(items)))
    }

    // In place: a list that grows value by value must not be copied each time.
    private mutating func appendToList(_ items: [PickleID]) throws {
        guard case .list(let number) = try node(top()) else { throw malformed("no list to append to") }
        arrays[Int(number)].append(contentsOf: items)
    }

    private mutating func appendToDictionary(_ items: [PickleID]) throws {
        guard case .dictionary(let number) = try node(top()) else { throw malformed("no dictionary to set items of") }
        guard items.count.isMultiple(of: 2) else { throw malformed("a key without a value") }
        arrays[Int(number)].append(contentsOf: items)
    }

    // MARK: - Plain values

    private mutating func pushString(byteCount: UInt64) throws {
        let bytes = try reader.take(Int(clamping: byteCount))
        // Python allows lone surrogates here; no name of a tensor has one.
        guard let text = String(validating: bytes, as: UTF8.self) else { throw malformed("a string is not UTF-8") }
        try push(.string(text))
    }

    private mutating func pushBytes(byteCount: UInt64) throws {
        try reader.skip(Int(clamping: byteCount))
        try push(.opaque)
    }

    /// A two's complement number of any length.
    private mutating func pushLong(byteCount: Int) throws {
        let bytes = try reader.take(byteCount)
        guard bytes.count <= 8 else {
            try push(.opaque)
            return
        }
        var value: UInt64 = 0
        for (index, byte) in bytes.enumerated() { value |= UInt64(byte) << UInt64(8 * index) }
        if let last = bytes.last, last >= 0x80, bytes.count < 8 { value |= UInt64.max << UInt64(8 * bytes.count) }
        try push(.integer(Int64(bitPattern: value)))
    }

    /// Digits up to a line's end. INT also spells booleans, as 00 and 01; LONG ends in an L.
    private mutating func pushDecimal(isInt: Bool) throws {
        var text = try line()
        if isInt, text == "00" || text == "01" {
            try push(.boolean(text == "01"))
            return
        }
        if !isInt, text.hasSuffix("L") { text.removeLast() }
        guard let value = Int64(text) else { throw malformed("\(quoted(text)) is no integer") }
        try push(.integer(value))
    }

    private mutating func memoNumber() throws -> UInt32 {
        let text = try line()
        guard let number = UInt32(text) else { throw malformed("\(quoted(text)) is no memo number") }
        return number
    }

    private mutating func line() throws -> String {
        var text: [UInt8] = []
        while true {
            let byte = try reader.integer(UInt8.self)
            if byte == UInt8(ascii: "\n") { break }
            guard text.count < 256 else { throw malformed("a line of more than 256 bytes") }
            text.append(byte)
        }
        return String(decoding: text, as: UTF8.self)
    }

    // MARK: - Globals, storages, tensors

    private mutating func pushGlobal(module: String, name: String) throws {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw unsupported(quoted("\(module).\(name)"))
        }
        try push(.global(global))
    }

    private func items(_ id: PickleID) -> [PickleID]? {
        guard case .tuple(let number) = node(id) else { return nil }
        return arrays[Int(number)]
    }

    private func size(_ id: PickleID) -> Int? {
        guard case .integer(let value) = node(id), value >= 0 else { return nil }
        return Int(value)
    }

    private func sizes(_ id: PickleID) -> [Int]? {
        guard let items = items(id), items.count <= Limit.rank else { return nil }
        let sizes = items.compactMap { size($0) }
        return sizes.count == items.count ? sizes : nil
    }

    /// ('storage', class, key, location, element count)
    private mutating func pushStorage() throws {
        guard let items = try items(pop()), items.count >= 5, node(items[0]) == .string("storage"),
            case .global(.storage(let dtype)) = node(items[1]), case .string(let key) = node(items[2]),
            let count = size(items[4])
        else { throw unsupported("a persistent object that is no storage") }
        storages.append(TorchStorage(key: key, dtype: dtype, count: count))
        try push(.storage(Int32(storages.count - 1)))
    }

    private mutating func reduce() throws {
        let arguments = try items(pop())
        guard case .global(let global) = try node(pop()), let arguments else {
            throw unsupported("a call of something that is no function")
        }
        switch global {
        case .orderedDict:
            guard arguments.isEmpty else { throw unsupported("collections.OrderedDict with arguments") }
            try push(.dictionary(addArray([])))
        case .rebuildTensor, .rebuildTensorV2:
            // storage, offset, size, stride; then requires_grad, backward_hooks, metadata, which change no value.
            guard arguments.count >= 4, case .storage(let storage) = node(arguments[0]),
                let offset = size(arguments[1]), let shape = sizes(arguments[2]), let strides = sizes(arguments[3]),
                shape.count == strides.count
            else {
                throw malformed(
                    "a tensor without a storage, an offset and up to \(Limit.rank) sizes and as many strides"
                )
            }
            guard tensors.count < Limit.tensors else { throw unsupported("more than \(Limit.tensors) tensors") }
            tensors.append(
                TorchTensor(storage: storages[Int(storage)], offset: offset, shape: shape, strides: strides)
            )
            try push(.tensor(Int32(tensors.count - 1)))
        case .rebuildParameter, .rebuildParameterWithState:
            // A parameter is its tensor; requires_grad, hooks and attributes change no value.
            guard let data = arguments.first, case .tensor = node(data) else {
                throw malformed("a parameter without a tensor")
            }
            try push(data)
        case .storage, .dtype: throw unsupported("a call of a class")
        }
    }

    /// Sets attributes; of an OrderedDict these are a state_dict's `_metadata`, which say nothing about values.
    private mutating func build() throws {
        _ = try pop()
        guard case .dictionary = try node(top()) else {
            throw unsupported("attributes of something else than a dictionary")
        }
    }
}
