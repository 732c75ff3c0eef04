// Writes a safetensors file tensor by tensor, so that an importer holds one tensor in memory instead of the model.
//
// The header is padded with spaces so that the data starts at a multiple of 64 bytes. The format allows no gaps between
// tensors, so later tensors are aligned only as the sizes before them allow: always to their element size if all
// tensors have one dtype, as in our bundles.

package import Compute
package import Files
internal import JSON

/// A safetensors file being written; it appears under its path only with `finish()`.
package struct SafetensorsWriter: ~Copyable {
    private let path: String
    private let dtype: DType
    private let specifications: [TensorSpecification]
    private var nextIndex = 0
    private var file: FileWriter

    /// Creates the file and writes its header.
    ///
    /// - Parameters:
    ///   - specifications: the tensors in the order in which they will be appended; names are unique.
    ///   - dtype: the element type of all of them.
    package init(
        path: String,
        tensors specifications: [TensorSpecification],
        dtype: DType
    ) throws(FileError) {
        var members: [(key: String, value: JSONValue)] = [("__metadata__", ["format": "genrec"])]
        var offset = 0
        for specification in specifications {
            let end = offset + specification.count * dtype.byteCount
            let entry: JSONValue = [
                "dtype": .string(dtype.safetensorsCode), "shape": .array(specification.shape.map { .integer($0) }),
                "data_offsets": [.integer(offset), .integer(end)],
            ]
            members.append((specification.name, entry))
            offset = end
        }
        var header = JSONValue.object(pairs: members).compact
        let padding = (64 - (8 + header.count) % 64) % 64
        header.append(contentsOf: repeatElement(UInt8(ascii: " "), count: padding))
        var file = try FileWriter(path: path)
        try file.append(withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) })
        try file.append(header)
        self.path = path
        self.dtype = dtype
        self.specifications = specifications
        self.file = file
    }

    /// Appends the next tensor.
    ///
    /// - Throws: `FileError.mismatched` if it is not the next tensor of the specification.
    package mutating func append(_ tensor: HostTensor) throws(FileError) {
        guard nextIndex < specifications.count, specifications[nextIndex].name == tensor.name,
            specifications[nextIndex].shape == tensor.shape, tensor.dtype == dtype,
            tensor.bytes.count == specifications[nextIndex].count * dtype.byteCount
        else {
            throw FileError(
                .mismatched,
                "\(path): tensor \(quoted(tensor.name)) \(shapeDescription(tensor.shape)) is not the next of the header"
            )
        }
        nextIndex += 1
        try file.append(tensor.bytes)
    }

    /// Makes the file durable and gives it its name.
    package consuming func finish() throws(FileError) {
        guard nextIndex == specifications.count else {
            throw FileError(.mismatched, "\(path): tensor \(quoted(specifications[nextIndex].name)) was not written")
        }
        try file.commit()
    }
}
