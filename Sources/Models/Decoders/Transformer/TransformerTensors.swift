// The tensors of a transformer decoder: name, shape, and when they exist, stated once. The decoder loads them,
// importers fill them.

import Compute

/// Names of the tensors in `model.safetensors`.
package enum TransformerTensor {
    package static let itemEmbedding = "item_embedding.weight"
    package static let positionEmbedding = "position_embedding.weight"
    package static let outputNorm = ParameterName("output_norm")
    /// The rows that queries are scored against, if those are not the item table.
    package static let head = "head.weight"

    package static func attentionNorm(_ layer: Int) -> ParameterName { of(layer, "attention_norm") }
    /// Outputs in the order q, k, v, each with its heads side by side.
    package static func qkv(_ layer: Int) -> ParameterName { of(layer, "attention.qkv") }
    package static func queryNorm(_ layer: Int) -> ParameterName { of(layer, "attention.query_norm") }
    package static func keyNorm(_ layer: Int) -> ParameterName { of(layer, "attention.key_norm") }
    package static func attentionOutput(_ layer: Int) -> ParameterName { of(layer, "attention.output") }
    package static func feedForwardNorm(_ layer: Int) -> ParameterName { of(layer, "feed_forward_norm") }
    package static func hidden(_ layer: Int) -> ParameterName { of(layer, "feed_forward.hidden") }
    /// Outputs in the order gate, up.
    package static func gateUp(_ layer: Int) -> ParameterName { of(layer, "feed_forward.gate_up") }
    package static func feedForwardOutput(_ layer: Int) -> ParameterName { of(layer, "feed_forward.output") }
    package static func down(_ layer: Int) -> ParameterName { of(layer, "feed_forward.down") }

    private static func of(_ layer: Int, _ name: String) -> ParameterName { ParameterName("layers.\(layer).\(name)") }
}

extension TransformerDescription {
    /// The two projections of a layer's feed-forward.
    func feedForwardNames(_ layer: Int) -> (input: ParameterName, output: ParameterName) {
        switch feedForwardKind {
        case .plain: (TransformerTensor.hidden(layer), TransformerTensor.feedForwardOutput(layer))
        case .gatedBySiLU: (TransformerTensor.gateUp(layer), TransformerTensor.down(layer))
        }
    }

    /// Every tensor, in file order.
    var tensorSpecifications: [TensorSpecification] {
        var tensors = [TensorSpecification(TransformerTensor.itemEmbedding, [rows, width])]
        func norm(_ name: ParameterName, _ norm: NormDescription, _ width: Int) {
            switch norm.kind {
            case .layer, .l2: break
            case .rms: tensors.append(TensorSpecification(name.weight, [width]))
            case .affineLayer:
                tensors += [TensorSpecification(name.weight, [width]), TensorSpecification(name.bias, [width])]
            }
        }
        func projection(_ name: ParameterName, _ inputs: Int, _ outputs: Int, hasBias: Bool) {
            let shape = weightLayout == .inputMajor ? [inputs, outputs] : [outputs, inputs]
            tensors.append(TensorSpecification(name.weight, shape))
            if hasBias { tensors.append(TensorSpecification(name.bias, [outputs])) }
        }
        if case .learned(let rows) = positions {
            tensors.append(TensorSpecification(TransformerTensor.positionEmbedding, [rows, width]))
        }
        for layer in 0..<layers {
            norm(TransformerTensor.attentionNorm(layer), self.norm, width)
            projection(TransformerTensor.qkv(layer), width, qkvOutputs, hasBias: hasBiases.attention)
            if let queryKeyNorm {
                norm(TransformerTensor.queryNorm(layer), queryKeyNorm, headDimension)
                norm(TransformerTensor.keyNorm(layer), queryKeyNorm, headDimension)
            }
            tensors += relativeBias.tensorSpecifications(
                layer: layer,
                paddedLength: paddedLength,
                timeBuckets: timeBuckets
            )
            projection(
                TransformerTensor.attentionOutput(layer),
                queryWidth,
                width,
                hasBias: hasBiases.attentionOutput
            )
            norm(TransformerTensor.feedForwardNorm(layer), self.norm, width)
            let feedForwardNames = feedForwardNames(layer)
            projection(feedForwardNames.input, width, hiddenOutputs, hasBias: hasBiases.feedForward)
            projection(feedForwardNames.output, feedForward, width, hasBias: hasBiases.feedForward)
        }
        norm(TransformerTensor.outputNorm, outputNorm, width)
        if !isTied { tensors.append(TensorSpecification(TransformerTensor.head, [rows, width])) }
        return tensors
    }
}
