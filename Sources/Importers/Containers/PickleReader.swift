// Reads pickles, protocols 0 to 5. A pickle is a program for a stack machine that may call anything; here it can only
// build plain values, and views of storages through the globals in `PickleGlobal`. Every other class, function and
// persistent object becomes an inert object that holds its arguments: trainers save such objects with the weights, but
// nothing calls them and no importer reads them.
//
// One pass without recursion. Each opcode makes a bounded number of nodes, so memory grows with the length of the
// pickle, which is bounded. Values are referred to by number, so reading one from the memo a million times copies
// nothing, and the few opcodes that do copy have a budget.

internal import JSON
import Models

/// The machine that reads one pickle.
struct PickleReader {
    /// Bounds that no honest checkpoint reaches; a tensor takes about ten nodes.
    enum Limit {
        static let byteCount = 64 << 20
        /// Bounds nodes, stack and memo each.
        static let values = 1 << 22
        /// Elements copied from one container into another.
        static let copies = 1 << 22
        static let tensors = 1 << 20
        static let rank = 8
        /// Length of a number or name that ends with its line.
        static let line = 4096
    }

    private let source: String
    private var reader: LittleEndianReader
    /// The start of the current opcode.
    private var opcodeOffset = 0
    private var stack: [PickleID] = []
    /// Stack heights at the marks.
    private var marks: [Int] = []
    private var memo: [UInt32: PickleID] = [:]
    private var nodes: [PickleNode] = []
    private var arrays: [[PickleID]] = []
    private var storages: [TorchStorage] = []
    private var tensors: [TorchTensor] = []
    private var copies = 0
    private var unnamed: PickleID?
    /// Tensors outside the pickle, by their persistent ids.
    private let persistent: [String: TorchTensor]

    private init(_ bytes: UnsafeRawBufferPointer, source: String, persistent: [String: TorchTensor]) {
        self.source = source
        self.persistent = persistent
        reader = LittleEndianReader(bytes)
    }

    /// Reads a pickle.
    ///
    /// - Parameters:
    ///   - bytes: start with the pickle.
    ///   - source: its name in errors.
    ///   - isFollowed: whether data may follow STOP; otherwise that is an error.
    ///   - persistent: tensors outside the pickle, by their persistent ids.
    /// - Throws: `ImportError.malformed` with the byte offset if the pickle is invalid; `.unsupported` if it exceeds a
    ///   bound or has a later protocol.
    static func read(
        _ bytes: UnsafeRawBufferPointer,
        source: String,
        isFollowed: Bool = false,
        persistent: [String: TorchTensor] = [:]
    ) throws(ImportError) -> PickleGraph {
        let piece = UnsafeRawBufferPointer(rebasing: bytes.prefix(Limit.byteCount))
        var reader = PickleReader(piece, source: source, persistent: persistent)
        do {
            let graph = try reader.run()
            guard isFollowed || graph.byteCount == bytes.count else { throw reader.malformed("data after STOP") }
            return graph
        } catch let error as ImportError {
            throw error
        } catch {
            guard piece.count == bytes.count else {
                throw ImportError(.unsupported, "\(source): a pickle of more than \(Limit.byteCount) bytes")
            }
            throw reader.malformed("it ends in the middle of an opcode")
        }
    }

    private func malformed(_ reason: String) -> ImportError {
        ImportError(.malformed, "\(source): damaged pickle at byte \(opcodeOffset): \(reason)")
    }

    private func unsupported(_ what: String) -> ImportError {
        ImportError(
            .unsupported,
            "\(source): the pickle has \(what) at byte \(opcodeOffset), which checkpoints do not contain"
        )
    }

    // MARK: - Opcodes

    // Untyped, because it throws both `EndOfBytes` and `ImportError`.
    private mutating func run() throws -> PickleGraph {
        while true {
            opcodeOffset = reader.position
            let byte = try reader.integer(UInt8.self)
            guard let opcode = PickleOpcode(rawValue: byte) else {
                throw malformed("0x\(String(byte, radix: 16)) is not an opcode")
            }
            if opcode == .stop { break }
            try execute(opcode)
        }
        let root = try pop()
        guard stack.isEmpty, marks.isEmpty else { throw malformed("values are left over at its end") }
        return PickleGraph(
            root: root,
            nodes: nodes,
            arrays: arrays,
            storages: storages,
            tensors: tensors,
            byteCount: reader.position
        )
    }

    private mutating func execute(_ opcode: PickleOpcode) throws {
        switch opcode {
        case .proto:
            let version = try reader.integer(UInt8.self)
            guard version <= 5 else { throw unsupported("protocol \(version)") }
        case .frame:
            guard try reader.integer(UInt64.self) <= UInt64(reader.remaining) else {
                throw malformed("a frame extends past its end")
            }
        case .mark:
            guard marks.count < Limit.values else { throw tooLarge() }
            marks.append(stack.count)
        case .pop:
            // A mark is also an element of Python's stack.
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
        case .float: try pushFloat()
        case .binfloat: try push(.real(Double(bitPattern: reader.integer(UInt64.self).byteSwapped)))

        case .string, .unicode: try pushEscapedString(isUnicode: opcode == .unicode)
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
        // Readers see a set as a list.
        case .emptyList, .emptySet: try push(.list(addArray([])))
        case .list, .frozenset: try push(.list(addArray(popToMark())))
        case .append:
            let value = try pop()
            try appendToList([value])
        case .appends, .additems: try appendToList(popToMark())
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

        case .global: try push(.global(globalLines()))
        case .stackGlobal:
            guard case .string(let name) = try node(pop()), case .string(let module) = try node(pop()) else {
                throw malformed("STACK_GLOBAL without two strings")
            }
            try push(.global(PickleGlobal(module: module, name: name)))
        case .ext1: try pushObject(holding: [], after: reader.skip(1))
        case .ext2: try pushObject(holding: [], after: reader.skip(2))
        case .ext4: try pushObject(holding: [], after: reader.skip(4))
        // A buffer outside the pickle.
        case .nextBuffer: try push(.opaque)
        case .readonlyBuffer: _ = try top()

        case .persid: try pushNamed(line())
        case .binpersid: try pushPersistent(pop())
        case .reduce, .newobj:
            let arguments = try pop()
            try call(pop(), arguments)
        case .newobjEx:
            let named = try pop()
            let arguments = try pop()
            _ = try callee(pop())
            try pushObject(holding: [arguments, named])
        case .obj:
            let items = try popToMark()
            guard let function = items.first else { throw malformed("a value is missing") }
            _ = try callee(function)
            try pushObject(holding: Array(items.dropFirst()))
        case .inst:
            _ = try globalLines()
            try pushObject(holding: popToMark())
        case .build: try build()

        case .stop: break
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

    // Appends in place, because copying a list for each appended value would be quadratic.
    private mutating func appendToList(_ items: [PickleID]) throws {
        switch try node(top()) {
        case .list(let number): arrays[Int(number)].append(contentsOf: items)
        case .object(let number):
            let key = try none()
            for item in items { arrays[Int(number)] += [key, item] }
        default: throw malformed("there is no list to append to")
        }
    }

    private mutating func appendToDictionary(_ items: [PickleID]) throws {
        guard items.count.isMultiple(of: 2) else { throw malformed("a key without a value") }
        switch try node(top()) {
        case .dictionary(let number), .object(let number): arrays[Int(number)].append(contentsOf: items)
        default: throw malformed("there is no dictionary to set items in")
        }
    }

    /// The key of unnamed values; one node serves all.
    private mutating func none() throws -> PickleID {
        if let unnamed { return unnamed }
        try push(.none)
        let id = try pop()
        unnamed = id
        return id
    }

    private mutating func chargeCopies(_ count: Int) throws {
        copies += count
        guard copies <= Limit.copies else { throw unsupported("more than \(Limit.copies) copied values") }
    }

    // MARK: - Plain values

    private mutating func pushString(byteCount: UInt64) throws {
        let bytes = try reader.take(Int(clamping: byteCount))
        // Python 2 writes bytes here, and any Python may write lone surrogates; tensor names have neither.
        try push(String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .opaque)
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

    /// Digits up to the end of the line. INT also encodes booleans, as 00 and 01; LONG ends in an L.
    private mutating func pushDecimal(isInt: Bool) throws {
        var text = try line()
        if isInt, text == "00" || text == "01" {
            try push(.boolean(text == "01"))
            return
        }
        if !isInt, text.hasSuffix("L") { text.removeLast() }
        if let value = Int64(text) {
            try push(.integer(value))
            return
        }
        let digits = text.drop { $0 == "-" || $0 == "+" }
        guard !digits.isEmpty, digits.utf8.count >= 18, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
            throw malformed("\(quoted(text)) is not an integer")
        }
        try push(.opaque)
    }

    private mutating func pushFloat() throws {
        let text = try line()
        guard let value = Double(text) else { throw malformed("\(quoted(text)) is not a number") }
        try push(.real(value))
    }

    /// STRING is text as Python's `repr` writes it; UNICODE escapes only code points. Tensor names need no escapes, so
    /// escaped text is not read.
    private mutating func pushEscapedString(isUnicode: Bool) throws {
        var text = try reader.take(reader.lineLength())
        try reader.skip(1)
        if !isUnicode {
            guard text.count >= 2, let quote = text.first, quote == text.last, quote == 0x22 || quote == 0x27 else {
                throw malformed("a string without quotes")
            }
            text = UnsafeRawBufferPointer(rebasing: text.dropFirst().dropLast())
        }
        let isPlain = text.allSatisfy { 0x20..<0x7F ~= $0 && $0 != UInt8(ascii: "\\") }
        try push(isPlain ? .string(String(decoding: text, as: UTF8.self)) : .opaque)
    }

    private mutating func memoNumber() throws -> UInt32 {
        let text = try line()
        guard let number = UInt32(text) else { throw malformed("\(quoted(text)) is not a memo number") }
        return number
    }

    private mutating func line() throws -> String {
        let length = try reader.lineLength()
        guard length <= Limit.line else { throw malformed("a line of more than \(Limit.line) bytes") }
        let text = try reader.take(length)
        try reader.skip(1)
        return String(decoding: text, as: UTF8.self)
    }

    // MARK: - Globals, storages, tensors

    private mutating func globalLines() throws -> PickleGlobal {
        let module = try line()
        return PickleGlobal(module: module, name: try line())
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

    /// ('storage', class, key, location, element count). PyTorch before 1.6 adds (key, offset, element count) if the
    /// storage was a view of another one.
    private mutating func pushPersistent(_ id: PickleID) throws {
        switch node(id) {
        case .string(let name): return try pushNamed(name)
        case .integer(let number): return try pushNamed(String(number))
        default: break
        }
        guard let items = items(id), items.count >= 5, node(items[0]) == .string("storage"),
            case .global(.storage(let dtype)) = node(items[1]), case .string(let key) = node(items[2]),
            let count = size(items[4]), items.count == 5 || node(items[5]) == .none
        else {
            try pushObject(holding: [id])
            return
        }
        storages.append(TorchStorage(key: key, dtype: dtype, count: count))
        try push(.storage(Int32(storages.count - 1)))
    }

    /// Pushes a tensor outside the pickle, or an inert object for any other persistent object.
    private mutating func pushNamed(_ name: String) throws {
        guard let tensor = persistent[name] else { return try pushObject(holding: []) }
        try push(tensor)
    }

    /// Pushes an inert object that holds these values.
    private mutating func pushObject(holding values: [PickleID], after: Void = ()) throws {
        var items: [PickleID] = []
        if !values.isEmpty {
            let key = try none()
            for value in values { items += [key, value] }
        }
        try push(.object(addArray(items)))
    }

    /// The callee: a global, or the result of an earlier call.
    private func callee(_ id: PickleID) throws -> PickleGlobal {
        switch node(id) {
        case .global(let global): return global
        case .object: return .other
        default: throw malformed("a call of something that is not a function")
        }
    }

    private mutating func call(_ function: PickleID, _ arguments: PickleID) throws {
        var global = try callee(function)
        var arguments = arguments
        // A wrapper of a function and its arguments evaluates to the function's value. No trainer nests wrappers.
        if global == .rebuildFromType, let parts = items(arguments), parts.count >= 3,
            case .global(let inner) = node(parts[0])
        {
            (global, arguments) = (inner, parts[2])
        }
        guard let items = items(arguments) else {
            try pushObject(holding: [arguments])
            return
        }
        switch global {
        case .orderedDict:
            if let pairs = try pairs(items) {
                try push(.dictionary(addArray(pairs)))
            } else {
                try pushObject(holding: [arguments])
            }
        case .rebuildTensor, .rebuildTensorV2: try pushTensor(items, arguments)
        case .rebuildParameter, .rebuildParameterWithState:
            // A parameter is its tensor; requires_grad, hooks and attributes do not change the values.
            if let data = items.first, case .tensor = node(data) {
                try push(data)
            } else {
                try pushObject(holding: [arguments])
            }
        case .other, .rebuildFromType, .storage: try pushObject(holding: [arguments])
        }
    }

    /// Alternating keys and values from OrderedDict's arguments: none or, in Python 2, a list of pairs. Nil for others.
    private mutating func pairs(_ arguments: [PickleID]) throws -> [PickleID]? {
        guard let argument = arguments.first else { return [] }
        guard arguments.count == 1, case .list(let number) = node(argument) else { return nil }
        try chargeCopies(2 * arrays[Int(number)].count)
        var pairs: [PickleID] = []
        for element in arrays[Int(number)] {
            switch node(element) {
            case .list(let pair) where arrays[Int(pair)].count == 2: pairs += arrays[Int(pair)]
            case .tuple(let pair) where arrays[Int(pair)].count == 2: pairs += arrays[Int(pair)]
            default: return nil
            }
        }
        return pairs
    }

    /// - Parameter items: storage, offset, size, stride; then requires_grad, backward_hooks and metadata, which do not
    ///   change the values.
    private mutating func pushTensor(_ items: [PickleID], _ arguments: PickleID) throws {
        // An element type that weights never have, such as complex numbers.
        if let storage = items.first, case .object = node(storage) {
            try pushObject(holding: [arguments])
            return
        }
        guard items.count >= 4, case .storage(let storage) = node(items[0]), let offset = size(items[1]),
            let shape = sizes(items[2]), let strides = sizes(items[3]), shape.count == strides.count
        else {
            throw malformed("a tensor without a storage, an offset and up to \(Limit.rank) sizes and as many strides")
        }
        try push(TorchTensor(storage: storages[Int(storage)], offset: offset, shape: shape, strides: strides))
    }

    private mutating func push(_ tensor: TorchTensor) throws {
        guard tensors.count < Limit.tensors else { throw unsupported("more than \(Limit.tensors) tensors") }
        tensors.append(tensor)
        try push(.tensor(Int32(tensors.count - 1)))
    }

    /// Sets attributes. A dictionary's are a state_dict's `_metadata`; neither those nor a tensor's affect values.
    private mutating func build() throws {
        let state = try pop()
        switch try node(top()) {
        case .dictionary, .tensor, .global, .list: break
        case .object(let number):
            if case .dictionary(let attributes) = node(state) {
                let copied = arrays[Int(attributes)]
                try chargeCopies(copied.count)
                arrays[Int(number)] += copied
            } else {
                arrays[Int(number)] += [try none(), state]
            }
        default: throw malformed("attributes are set on something that has none")
        }
    }
}
