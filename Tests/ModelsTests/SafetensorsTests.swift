// The safetensors reader and writer.

import Compute
import Files
import TestSupport
import Testing

@testable import Models

@Suite struct SafetensorsTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func open(_ header: String, data: Int) throws -> SafetensorsFile {
        try SafetensorsFile(path: try folder.write("m.safetensors", safetensors(header, data: data)))
    }

    private func message(_ header: String, data: Int) -> String {
        do {
            _ = try open(header, data: data)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func honestFile_HandsOutItsTensors() throws {
        let file = try open(
            """
            {"__metadata__": {"by": "me"}, "b": {"dtype": "I32", "shape": [1, 2], "data_offsets": [4, 12]},
             "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
             "empty": {"shape": [0, 3], "data_offsets": [4, 4], "dtype": "F32"},
             "scalar": {"dtype": "U8", "shape": [], "data_offsets": [12, 13]}}     \n
            """,
            data: 13
        )
        #expect(file.names == ["a", "empty", "b", "scalar"])
        #expect(file.metadata == ["by": "me"])
        #expect(try file.tensor("c") == nil)
        let tensor = try #require(try file.tensor("b"))
        #expect(tensor.dtype == .int32)
        #expect(tensor.shape == [1, 2])
        withExtendedLifetime(tensor) {
            #expect(tensor.bytes.elementsEqual([4, 5, 6, 7, 8, 9, 10, 11]))
            #expect(UInt(bitPattern: tensor.bytes.baseAddress).isMultiple(of: 4))
        }
        #expect(try file.tensor("scalar")?.count == 1)
        #expect(try file.tensor("empty")?.count == 0)
    }

    @Test(arguments: 0..<8)
    func unalignedTensor_IsHandedOutAligned(shift: Int) throws {
        let header =
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"I64","shape":[1],"data_offsets":[1,9]}}"#
        let file = try open(header + String(repeating: " ", count: shift), data: 9)
        let tensor = try #require(try file.tensor("b"))
        withExtendedLifetime(tensor) {
            #expect(UInt(bitPattern: tensor.bytes.baseAddress).isMultiple(of: 8))
            #expect(tensor.bytes.elementsEqual(1...8))
        }
    }

    /// A tensor's fields and the sentence about them.
    @Test(arguments: [
        (#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#, "no error"),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[0,12]}"#, "12 bytes, but float32 (2) takes 8"),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#, "ascending order"),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[8]}"#, "two offsets"),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}"#, "more than 2 numbers"),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}"#, "non-negative"),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}"#, "non-negative"),
        (#"{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}"#, "non-negative"),
        (#"{"dtype":"F32","shape":[4],"data_offsets":[0,16]}"#, "bytes 0 to 16 exceed the 8 bytes of data"),
        (#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, "4 bytes after the last tensor"),
        (#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, "there is a gap before"),
        (#"{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}"#, "is too large"),
        (#"{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}"#, "is too large"),
        (#"{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}"#, "non-negative"),
        (#"{"dtype":"F64","shape":[1],"data_offsets":[0,8]}"#, #"the dtype "F64" is not supported"#),
        (#"{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}"#, #"the key "x" is not known"#),
        (#"{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}"#, "shape appears twice"),
        (#"{"dtype":"F32","shape":[2]}"#, "data_offsets is missing"),
        (#"{"dtype":"F32","data_offsets":[0,8]}"#, "shape is missing"),
        (#"{"shape":[2],"data_offsets":[0,8]}"#, "dtype is missing"),
        (#"{"dtype":1,"shape":[2],"data_offsets":[0,8]}"#, "expected a string"),
        (#"[]"#, "expected an object"),
        (#"{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}"#, "more than 16"),
    ])
    func tensorOfAHeader(fields: String, expected: String) {
        let message = message(#"{"t":\#(fields)}"#, data: 8)
        #expect(message.contains(expected), "\(message)")
        if expected != "no error" {
            #expect(message.hasPrefix(folder.path + "/m.safetensors: "))
            #expect(message.contains("\"t\"") || message.contains("after the last tensor"))
        }
    }

    @Test func overlapAndDuplicates_AreRefused() {
        let a = #""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#
        let b = #""b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}"#
        #expect(message("{\(a),\(b)}", data: 6).contains(#"tensor "b": bytes 2 to 6 overlap"#))
        #expect(message("{\(a),\(a)}", data: 4).contains(#"the name "a" appears twice"#))
        #expect(message(#"{"__metadata__":{"a":"b","a":"c"}}"#, data: 0).contains("appears twice"))
        #expect(message(#"{"__metadata__":{"a":1}}"#, data: 0).contains("expected a string"))
        #expect(message(#"{"__metadata__":{},"__metadata__":{}}"#, data: 0).contains("appears twice"))
        #expect(message(#" {}"#, data: 0).contains("does not start with '{'"))
        #expect(message(#"{} x"#, data: 0).contains("expected the end"))
    }

    @Test func headerLengthThatLies_IsRefused() throws {
        func message(_ bytes: [UInt8]) throws -> String {
            let path = try folder.write("l.safetensors", bytes)
            do {
                _ = try SafetensorsFile(path: path)
                return "no error"
            } catch {
                return "\(error)"
            }
        }
        #expect(try message([]).contains("too short"))
        #expect(try message([1, 2, 3]).contains("too short"))
        #expect(try message([3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D]).contains("exceeds the file's 10 bytes"))
        #expect(try message([UInt8](repeating: 255, count: 8) + [0x7B, 0x7D]).contains("is more than 100000000"))
        #expect(try message([0, 0, 0, 0, 0, 0, 0, 0]).contains("does not start with"))
    }

    @Test func fileThatCannotBeRead_IsNamed() {
        #expect(throws: FileError(.unreadable, "")) { try SafetensorsFile(path: folder.path + "/absent") }
        #expect(throws: FileError(.unreadable, "")) { try SafetensorsFile(path: folder.path) }
    }

    @Test func written_IsReadBackAndAligned() throws {
        let path = folder.path + "/w.safetensors"
        let specifications = [TensorSpecification("a \"quoted\"", [2, 3]), TensorSpecification("b", [1])]
        var writer = try SafetensorsWriter(path: path, tensors: specifications, dtype: .float32)
        let values: [Float] = [1, 2, 3, 4, 5, 6, 7]
        try values.withUnsafeBytes { bytes in
            for (specification, range) in zip(specifications, [0..<24, 24..<28]) {
                let part = UnsafeRawBufferPointer(rebasing: bytes[range])
                try writer.append(
                    HostTensor(name: specification.name, dtype: .float32, shape: specification.shape, bytes: part)
                )
            }
        }
        #expect(try folder.names().allSatisfy { $0 != "w.safetensors" }, "nothing is seen before it is complete")
        try writer.finish()
        #expect(try folder.names() == ["w.safetensors"])

        let file = try SafetensorsFile(path: path)
        #expect(file.names == specifications.map(\.name))
        let tensor = try #require(try file.tensor("a \"quoted\""))
        withExtendedLifetime(tensor) {
            #expect(tensor.bytes.bindMemory(to: Float.self).elementsEqual(values[..<6]))
            #expect(UInt(bitPattern: tensor.bytes.baseAddress).isMultiple(of: 64))
        }
    }

    @Test func writer_RefusesWhatWasNotAnnounced_AndLeavesNothing() throws {
        let path = folder.path + "/w.safetensors"
        func write(_ tensors: [(String, [Int], DType)]) throws {
            var writer = try SafetensorsWriter(path: path, tensors: [TensorSpecification("a", [2])], dtype: .float32)
            try [Float](repeating: 0, count: 4).withUnsafeBytes { bytes in
                for (name, shape, dtype) in tensors {
                    let part = UnsafeRawBufferPointer(rebasing: bytes[..<(shape.reduce(1, *) * dtype.byteCount)])
                    try writer.append(HostTensor(name: name, dtype: dtype, shape: shape, bytes: part))
                }
            }
            try writer.finish()
        }
        for tensors in [
            [("b", [2], DType.float32)], [("a", [1], .float32)], [("a", [2], .float16)], [],
            [("a", [2], .float32), ("a", [2], .float32)],
        ] {
            #expect(throws: FileError(.mismatched, "")) { try write(tensors) }
            #expect(try folder.names() == [])
        }
    }

    @Test(
        arguments: [
            (DType.float32, [0, 0, 0x80, 0x7F], false), (.float32, [1, 0, 0x80, 0xFF], false),
            (.float32, [0xFF, 0xFF, 0x7F, 0xFF], true), (.float16, [0, 0x7C], false), (.float16, [0xFF, 0x7B], true),
            (.bfloat16, [0x80, 0xFF], false), (.bfloat16, [0x7F, 0xFF], true), (.int32, [255, 255, 255, 255], true),
        ] as [(DType, [UInt8], Bool)]
    )
    func finiteness(dtype: DType, element: [UInt8], expected: Bool) {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 3 * element.count, alignment: 8)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: [UInt8](repeating: 0, count: 2 * element.count) + element)
        let tensor = HostTensor(name: "t", dtype: dtype, shape: [3], bytes: UnsafeRawBufferPointer(bytes))
        #expect(tensor.isFinite == expected)
    }
}
