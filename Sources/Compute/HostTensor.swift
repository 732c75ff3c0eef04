// A tensor in host memory, as a weight file holds it. A device receives it once, when a model is loaded.

/// A contiguous, row-major, little-endian tensor in host memory.
///
/// The bytes never change. They live as long as `owner`; without one, the tensor's creator keeps them until every
/// device object made from it is released.
package struct HostTensor {
    /// The name in the weight file; every error about the tensor carries it.
    package let name: String
    package let dtype: DType
    /// Extents, outermost first. Never negative; their product times the element size is `bytes.count`.
    package let shape: [Int]
    /// The elements. The base address is aligned for `dtype`.
    package let bytes: UnsafeRawBufferPointer
    /// Keeps the bytes alive.
    package let owner: AnyObject?

    package init(
        name: String,
        dtype: DType,
        shape: [Int],
        bytes: UnsafeRawBufferPointer,
        owner: AnyObject? = nil
    ) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.bytes = bytes
        self.owner = owner
    }

    /// Number of elements.
    package var count: Int { bytes.count / dtype.byteCount }
}

/// A shape as sentences write it: "(3, 4)"; at most eight extents.
package func shapeDescription(_ shape: some Collection<Int>) -> String {
    let shown = shape.prefix(8).map(String.init).joined(separator: ", ")
    return shape.count > 8 ? "(\(shown), …)" : "(\(shown))"
}
