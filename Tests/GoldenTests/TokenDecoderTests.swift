// Llama, Qwen2 and Qwen3 over tokens against transformers: the probabilities of whole paths, with every token as an
// ordinary row.

import Compute
import ComputeCPU
import Foundation
import Models
import Testing

@Suite struct TokenDecoderTests {
    /// log p of every token after each of some prompts, from the decoder's queries and the head in float64.
    private func logProbabilities(
        _ prompts: [[Int32]],
        _ model: any DecoderModel,
        _ head: [Float],
        on stream: any Compute.Stream
    ) throws -> [[Double]] {
        let batch = SequenceBatch(
            layout: Jagged(lengths: prompts.map(\.count)),
            items: prompts.flatMap { $0 },
            timestamps: [Int64](repeating: 0, count: prompts.reduce(0) { $0 + $1.count + 1 }),
            timed: prompts.map { _ in false }
        )
        try stream.begin()
        let queries = try model.encode(batch, on: stream)
        try stream.synchronize()
        let values = try stream.read(queries)
        let width = queries.columns
        return prompts.indices.map { row in
            let query = values[row * width..<(row + 1) * width]
            let logits = stride(from: 0, to: head.count, by: width).map { token in
                zip(query, head[token..<token + width]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            }
            let most = logits.max() ?? 0
            let logSum = most + log(logits.reduce(0) { $0 + exp($1 - most) })
            return logits.map { $0 - logSum }
        }
    }

    @Test(arguments: TokenFixture.names)
    func paths_HaveTheProbabilitiesOfTransformers(name: String) throws {
        let fixture = try TokenFixture(name)
        try fixture.withBundle { bundle in
            let device = try CPUDevice(threads: 1)
            let model = try ModelRegistry.makeModel(bundle, on: device)
            let stream = try device.makeStream()
            let names = bundle.architecture.configuration.tensorSpecifications.map(\.name)
            let tensor = try bundle.tensor(names.contains("head.weight") ? "head.weight" : "item_embedding.weight")
            let head = Array(tensor.bytes.bindMemory(to: Float.self))
            let isOverAllowed = fixture.semanticIDs.normalization == "allowed"
            for (number, example) in fixture.cases.enumerated() {
                for answer in example.top.prefix(3) {
                    let index = try #require(fixture.items.firstIndex(of: answer.item))
                    let path = fixture.paths[index] + fixture.semanticIDs.tail
                    let prompts = path.indices.map { example.prompt_tokens + path[..<$0] }
                    let rows = try logProbabilities(prompts, model, head, on: stream)
                    var score = zip(rows, path).reduce(0.0) { $0 + $1.0[Int($1.1)] }
                    for level in fixture.paths[index].indices where isOverAllowed {
                        let allowed = fixture.tokens(after: path[..<level], example)
                        score -= log(allowed.reduce(0) { $0 + exp(rows[level][Int($1)]) })
                    }
                    #expect(
                        abs(score - answer.score) <= 1e-4 * max(1, abs(answer.score)),
                        "case \(number), \(answer.item): \(score) is not \(answer.score)"
                    )
                }
            }
        }
    }
}
