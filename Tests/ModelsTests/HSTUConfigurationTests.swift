// HSTU's dimensions against the published table of sizes (the model sheet, 1.11), and config.json.

import Compute
import JSON
import Testing

@testable import Models

/// A published configuration and its figures.
struct PublishedSize: CustomTestStringConvertible, Sendable {
    let name: String
    let rows, length, width, layers, heads, dimension: Int
    let parameters, withoutItems: Int
    /// In millions of operations, rounded as published.
    let linear, attention, scoring: Double
    let cacheBytes: Int

    var testDescription: String { name }
}

@Suite struct HSTUConfigurationTests {
    @Test(arguments: [
        PublishedSize(
            name: "ML-1M",
            rows: 3953,
            length: 200,
            width: 50,
            layers: 2,
            heads: 1,
            dimension: 50,
            parameters: 234_400,
            withoutItems: 36_750,
            linear: 10,
            attention: 8,
            scoring: 0.4,
            cacheBytes: 800
        ),
        PublishedSize(
            name: "ML-1M large",
            rows: 3953,
            length: 200,
            width: 50,
            layers: 8,
            heads: 2,
            dimension: 25,
            parameters: 313_000,
            withoutItems: 115_350,
            linear: 40,
            attention: 32,
            scoring: 0.4,
            cacheBytes: 3200
        ),
        PublishedSize(
            name: "ML-20M",
            rows: 131_263,
            length: 200,
            width: 256,
            layers: 4,
            heads: 4,
            dimension: 64,
            parameters: 34_971_288,
            withoutItems: 1_367_960,
            linear: 524,
            attention: 82,
            scoring: 67,
            cacheBytes: 8192
        ),
        PublishedSize(
            name: "Books large",
            rows: 695_763,
            length: 50,
            width: 64,
            layers: 16,
            heads: 8,
            dimension: 8,
            parameters: 44_865_440,
            withoutItems: 336_608,
            linear: 33,
            attention: 5,
            scoring: 89,
            cacheBytes: 8192
        ),
    ])
    func size_IsThePublishedOne(_ size: PublishedSize) throws {
        let configuration = try HSTUConfiguration {
            $0.width = size.width
            $0.layers = size.layers
            $0.heads = size.heads
            $0.attentionDimension = size.dimension
            $0.linearDimension = size.dimension
            $0.maxSequenceLength = size.length
            $0.maxOutputLength = 11
            $0.concatUA = false
            $0.relativeBias = .positionAndTime
            $0.outputNormalization = .l2
            $0.itemL2Norm = true
            $0.rows = size.rows
        }
        #expect(configuration.paddedLength == size.length + 11)
        #expect(configuration.parameterCount == size.parameters)
        #expect(configuration.parameterCount - configuration.tensorSpecifications[0].count == size.withoutItems)
        let operations = configuration.operations(length: size.length)
        #expect(abs(Double(operations.linear) / 1e6 - size.linear) <= 0.5)
        #expect(abs(Double(operations.attention) / 1e6 - size.attention) <= 0.5)
        #expect(abs(Double(operations.scoring) / 1e6 - size.scoring) <= 0.5)
        #expect(configuration.cacheBytesPerEvent(.float32) == size.cacheBytes)
    }

    /// The causal work of the performance sheet: only the stack, in 10⁹ operations.
    @Test(arguments: [
        (50, 8, 2, 25, 200, 0.07), (256, 16, 8, 32, 200, 2.35), (512, 3, 4, 128, 512, 3.8),
        (512, 3, 4, 128, 2048, 21.5),
    ])
    func neededOperations_AreThoseOfThePerformanceSheet(
        width: Int,
        layers: Int,
        heads: Int,
        dimension: Int,
        length: Int,
        expected: Double
    ) throws {
        let configuration = try HSTUConfiguration {
            $0.width = width
            $0.layers = layers
            $0.heads = heads
            $0.attentionDimension = dimension
            $0.linearDimension = dimension
            $0.maxSequenceLength = length
            $0.maxOutputLength = 11
            $0.concatUA = false
            $0.relativeBias = .positionAndTime
            $0.outputNormalization = .l2
            $0.itemL2Norm = true
            $0.rows = 100
        }
        let operations = configuration.neededOperations(length: length, cached: 0)
        #expect(abs(Double(operations.linear + operations.attention) / 1e9 - expected) < expected * 0.02 + 0.005)
        // One row of every layer against all others: its projections, and one pair per key.
        let layer = configuration.layerOperations
        let one = configuration.neededOperations(length: 1, cached: length - 1)
        #expect(one.linear == layers * (layer.keyValue + layer.otherLinear))
        #expect(one.attention == layers * length * layer.pair)
        #expect(one.scoring == operations.scoring)
        // With a cache, earlier and new work add up to the whole, except for the last layer's queries.
        let (old, new) = (length - 7, 7)
        let before = configuration.neededOperations(length: old, cached: 0)
        let after = configuration.neededOperations(length: new, cached: old)
        #expect(before.linear + after.linear - layer.otherLinear == operations.linear)
        #expect(before.attention + after.attention - old * layer.pair == operations.attention)
    }

    @Test func specifications_FollowTheSwitches() throws {
        func names(_ configuration: HSTUConfiguration) -> [String] { configuration.tensorSpecifications.map(\.name) }
        let plain = try tinyConfiguration()
        #expect(
            plain.tensorSpecifications == [
                TensorSpecification("item_embedding.weight", [7, 4]),
                TensorSpecification("position_embedding.weight", [6, 4]),
                TensorSpecification("layers.0.uvqk.weight", [4, 12]),
                TensorSpecification("layers.0.relative_bias.time", [129]),
                TensorSpecification("layers.0.relative_bias.position", [11]),
                TensorSpecification("layers.0.output.weight", [4, 4]),
                TensorSpecification("layers.0.output.bias", [4]),
            ]
        )
        #expect(!names(try tinyConfiguration(relativeBias: false)).contains { $0.contains("relative_bias") })
        let concatenated = try tinyConfiguration(concatUA: true)
        #expect(concatenated.tensorSpecifications.contains(TensorSpecification("layers.0.output.weight", [4, 12])))
    }

    @Test func largestDimensions_DoNotOverflow() throws {
        let largest = try HSTUConfiguration {
            $0.width = 65_536
            $0.layers = 1024
            $0.heads = 1024
            $0.attentionDimension = 64
            $0.linearDimension = 64
            $0.maxSequenceLength = 65_536
            $0.maxOutputLength = 65_536
            $0.concatUA = true
            $0.relativeBias = .positionAndTime
            $0.timeBuckets = 65_536
            $0.outputNormalization = .l2
            $0.itemL2Norm = true
            $0.rows = Int(Int32.max)
        }
        #expect(largest.parameterCount > 0)
        #expect(largest.operations(length: 65_536).total > 0)
    }

    // MARK: - config.json

    private static func text(_ changes: (String, String)...) throws -> String {
        var text = try tinyBundleConfiguration(try tinyConfiguration()).json.prettyPrinted
        for (part, replacement) in changes { text = text.replacing(part, with: replacement) }
        return text
    }

    private static func read(_ text: String) throws -> BundleConfiguration {
        try BundleConfiguration(Array(text.utf8).withUnsafeBytes { try JSONValue(parsing: $0) })
    }

    @Test func configuration_IsReadBackAsItWasWritten() throws {
        let configuration = try tinyBundleConfiguration(try tinyConfiguration(concatUA: true, relativeBias: false))
        #expect(try Self.read(configuration.json.prettyPrinted) == configuration)
    }

    @Test(arguments: [
        ("\"format_version\": 1", "\"format_version\": 2", "format_version must be 1"),
        ("\"format_version\": 1,", "", "format_version is missing"),
        ("\"name\": \"tiny\"", "\"name\": \"\"", "name must be 1 to 128 bytes"),
        ("\"name\": \"tiny\"", "\"name\": \"a\\u0007\"", "name must be 1 to 128 bytes"),
        ("\"version\": \"1\"", "\"version\": 1", "version must be a string"),
        ("\"architecture\": \"hstu\"", "\"architecture\": \"lstm\"", "architecture must be \"hstu\""),
        ("\"dtype\": \"float32\"", "\"dtype\": \"int8\"", "dtype must be float32, float16 or bfloat16"),
        ("\"dtype\": \"float32\"", "\"dtype\": \"f32\"", "dtype must be "),
        ("\"width\": 4", "\"width\": 0", "model.width must be an integer from 1 to 65536"),
        ("\"width\": 4,", "", "model.width is missing"),
        ("\"width\": 4", "\"width\": 4, \"depth\": 1", "model: the key \"depth\" is not known"),
        ("\"name\": \"tiny\"", "\"name\": \"tiny\", \"nom\": 1", "the key \"nom\" is not known"),
        ("\"file\"", "\"path\"", "provenance.file is missing"),
        ("00000000", "zzzzzzzz", "provenance.sha256 must be 64 hexadecimal digits"),
        ("\"concat_ua\": false", "\"concat_ua\": 0", "model.concat_ua must be true or false"),
        ("\"l2_epsilon\": 1e-06", "\"l2_epsilon\": 0", "model.l2_epsilon must be a number greater than 0"),
        ("\"l2_epsilon\": 1e-06", "\"l2_epsilon\": \"x\"", "model.l2_epsilon must be a number greater than 0"),
        ("\"output_normalization\": \"l2\"", "\"output_normalization\": \"ln\"", "must be \"l2\" or \"layer_norm\""),
        ("\"heads\": 2", "\"heads\": 1025", "model.heads must be an integer from 1 to 1024"),
        ("\"attention_dimension\": 1", "\"attention_dimension\": 65536", "heads times attention_dimension"),
        ("\"item_rows\": 7", "\"item_rows\": 2147483648", "model.item_rows must be an integer from 2 to 2147483647"),
    ])
    func configuration_ThatIsWrong(part: String, replacement: String, expected: String) throws {
        let text = try Self.text((part, replacement))
        do {
            _ = try Self.read(text)
            Issue.record("no error")
        } catch let error as JSONError {
            #expect(error.description.contains(expected), "\(error.description)")
        }
    }
}
