// A report on the chip and its abilities, as found when the device was made.

internal import CAscend
internal import Compute

extension AscendDevice {
    /// Lines on the chip, CANN, each missing operator, how each operation is computed, and the results of the trials.
    package var report: [String] {
        var lines = [
            "chip \(context.chip.name), device ascend:\(context.number), CANN \(version)",
            "products in \(description.dtype.rawValue) summed in float32, everything else in float32",
            "operators: \(Operator.allCases.count - support.missing.count) of \(Operator.allCases.count) found",
        ]
        for kind in Operator.allCases {
            if let reason = support.missing[kind] { lines.append("  without \(kind.rawValue): \(reason)") }
        }
        for operation in OperationKind.allCases {
            lines.append(
                "\(operation.rawValue): \(missing(for: operation).map { "unsupported: \($0)" } ?? path(of: operation))"
            )
        }
        return lines + description.notes
    }

    /// How an operation is computed.
    private func path(of operation: OperationKind) -> String {
        switch operation {
        case .linear: support.has(.swiGLU) ? "SwiGLU by its operator" : "SwiGLU composed"
        case .normalize:
            (support.has(.layerNorm) ? "LayerNorm by its operator" : "LayerNorm composed")
                + (support.has(.rmsNorm) ? ", RmsNorm by its operator" : ", RmsNorm composed")
        case .hstuAttention:
            (provenFusion.map { "by \($0.name) without a user cache, else composed" } ?? "composed")
                + (support.has(.absolute, .clampAtLeast, .logarithm, .divideByScalar, .truncate)
                    ? "; time buckets on the chip" : "; time buckets on the host")
        case .softmaxAttention: "composed"
        case .store: support.has(.indexCopy, .gather) ? "by InplaceIndexCopy" : "row by row"
        case .selectTopK:
            (support.has(.bitwiseAnd, .isZero) ? "masks from bits on the chip" : "masks from the host")
                + (ranksExactly ? "" : "; ranked on the host, because Topk ranks in half precision")
        case .beamAttention: "composed, a request at a time"
        case .tokenScores: "products on the chip, probabilities on the host"
        case .embed, .gatherRows, .rotate, .zeroRows, .scoreRows: "by plain operators"
        }
    }

    /// CANN's version, from whichever call this version has.
    private var version: String {
        let runtime = context.runtime
        if let call = runtime.aclsysGetVersionStr {
            var package = Array("runtime".utf8CString)
            // CANN requires at least 128 bytes.
            var text = [CChar](repeating: 0, count: 1024)
            if call(&package, &text) == 0 { return Self.string(text) }
        }
        if let call = runtime.aclsysGetCANNVersion {
            var version = aclCANNPackageVersion()
            if call(ACL_PKG_NAME_CANN, &version) == 0 {
                return withUnsafeBytes(of: version.version) { bytes in Self.string(bytes.map { CChar(bitPattern: $0) })
                }
            }
        }
        return "of unknown version"
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
