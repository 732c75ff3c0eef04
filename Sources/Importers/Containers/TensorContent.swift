// Turns a view of a storage, with any strides, into contiguous elements of a dtype that bundles hold.

import Compute
internal import Files

/// A tensor's checked place in its storage: every element is inside, and their number is reasonable.
struct StridedLayout {
    /// Elements that a tensor may have beyond those of its storage: a stride of 0 can repeat one without end.
    static let expansionLimit = 1 << 24

    let offset: Int
    let shape: [Int]
    let strides: [Int]
    /// Elements of the tensor.
    let count: Int
    let isContiguous: Bool

    /// Nil if an element is outside the storage.
    init?(_ tensor: TorchTensor) {
        var count = 1
        for extent in tensor.shape where extent != 0 {
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow else { return nil }
            count = product
        }
        if tensor.shape.contains(0) { count = 0 }
        guard count <= max(tensor.storage.count, Self.expansionLimit) else { return nil }

        var last = tensor.offset
        var packed = 1
        var isContiguous = true
        for (extent, stride) in zip(tensor.shape, tensor.strides).reversed() where extent > 1 {
            let (reach, overflow1) = (extent - 1).multipliedReportingOverflow(by: stride)
            let (sum, overflow2) = last.addingReportingOverflow(reach)
            guard !overflow1, !overflow2 else { return nil }
            last = sum
            if stride != packed { isContiguous = false }
            packed *= extent
        }
        guard count == 0 || last < tensor.storage.count else { return nil }
        offset = count == 0 ? 0 : tensor.offset
        shape = tensor.shape
        strides = tensor.strides
        self.count = count
        self.isContiguous = isContiguous || count == 0
    }
}

/// Contiguous elements that live as long as this object.
final class TensorContent {
    let dtype: TorchDType
    let shape: [Int]
    let bytes: UnsafeRawBufferPointer
    /// Keeps the bytes alive: a storage or a file; nil: this object owns them.
    private let owner: AnyObject?

    /// Takes the elements of a layout from their storage, without copying them if they are contiguous and aligned.
    init(_ layout: StridedLayout, dtype: TorchDType, in storage: OwnedBytes) {
        self.dtype = dtype
        shape = layout.shape
        let size = dtype.byteCount
        let start = layout.offset * size
        let source = UnsafeRawBufferPointer(rebasing: storage.bytes[start...])
        if layout.isContiguous, UInt(bitPattern: source.baseAddress).isMultiple(of: UInt(size)) {
            bytes = UnsafeRawBufferPointer(rebasing: source[..<(layout.count * size)])
            owner = storage
            return
        }
        let target = Self.allocate(layout.count * size)
        withExtendedLifetime(storage) {
            switch size {
            case 1: Self.gather(UInt8.self, layout, from: source, into: target)
            case 2: Self.gather(UInt16.self, layout, from: source, into: target)
            case 4: Self.gather(UInt32.self, layout, from: source, into: target)
            default: Self.gather(UInt64.self, layout, from: source, into: target)
            }
        }
        bytes = UnsafeRawBufferPointer(target)
        owner = nil
    }

    /// Elements that are already contiguous and aligned.
    ///
    /// - Parameter owner: keeps the bytes alive.
    init(_ bytes: UnsafeRawBufferPointer, dtype: TorchDType, shape: [Int], owner: AnyObject) {
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
        self.owner = owner
    }

    /// The concatenation of tensors of one dtype.
    init(joining parts: [TensorContent], shape: [Int]) {
        dtype = parts.first?.dtype ?? .float32
        precondition(parts.allSatisfy { [dtype] in $0.dtype == dtype })
        self.shape = shape
        let target = Self.allocate(parts.reduce(0) { $0 + $1.bytes.count })
        var end = 0
        for part in parts {
            UnsafeMutableRawBufferPointer(rebasing: target[end...]).copyMemory(from: part.bytes)
            end += part.bytes.count
        }
        bytes = UnsafeRawBufferPointer(target)
        owner = nil
    }

    private init(float32 bytes: UnsafeMutableRawBufferPointer, shape: [Int]) {
        dtype = .float32
        self.shape = shape
        self.bytes = UnsafeRawBufferPointer(bytes)
        owner = nil
    }

    deinit {
        if owner == nil { bytes.deallocate() }
    }

    /// The elements as float32: exact from narrower types, rounded to nearest from float64. Nil for integers and
    /// booleans, which weights never are.
    func float32() -> TensorContent? {
        switch dtype {
        case .float32: self
        case .float16: converted(UInt16.self) { Float(Float16(bitPattern: $0)) }
        case .bfloat16: converted(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .float64: converted(UInt64.self) { Float(Double(bitPattern: $0)) }
        case .int64, .int32, .int16, .int8, .uint8, .bool: nil
        }
    }

    private func converted<Word: BitwiseCopyable>(_ type: Word.Type, _ convert: (Word) -> Float) -> TensorContent {
        let words = bytes.bindMemory(to: Word.self)
        let target = Self.allocate(words.count * 4)
        let floats = target.bindMemory(to: Float.self)
        for index in words.indices { floats[index] = convert(words[index]) }
        return TensorContent(float32: target, shape: shape)
    }

    private static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(byteCount, 1), alignment: 64)
        return UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount])
    }

    /// Copies the elements in row-major order. `StridedLayout` has checked that each one is inside `source`.
    private static func gather<Word: BitwiseCopyable>(
        _ type: Word.Type,
        _ layout: StridedLayout,
        from source: UnsafeRawBufferPointer,
        into target: UnsafeMutableRawBufferPointer
    ) {
        guard layout.count > 0 else { return }
        let size = MemoryLayout<Word>.size
        let output = target.bindMemory(to: Word.self)
        var index = Array(repeating: 0, count: layout.shape.count)
        var element = 0
        for position in 0..<layout.count {
            output[position] = source.loadUnaligned(fromByteOffset: element * size, as: Word.self)
            // One step of an odometer: the last axis turns fastest.
            var axis = layout.shape.count - 1
            while axis >= 0 {
                index[axis] += 1
                element += layout.strides[axis]
                if index[axis] < layout.shape[axis] { break }
                element -= layout.strides[axis] * layout.shape[axis]
                index[axis] = 0
                axis -= 1
            }
        }
    }
}
