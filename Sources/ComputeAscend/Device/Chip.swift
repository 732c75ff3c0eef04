// The abilities of a chip, derived from CANN's name for it.

/// A chip, as aclrtGetSocName names it.
struct Chip {
    /// Chips with the same abilities.
    enum Generation {
        /// Atlas A2: Ascend910B1 and up.
        case a2
        /// Atlas A3: Ascend910_93xx.
        case a3
        /// Ascend950PR and Ascend950DT.
        case a5
        /// Atlas inference: Ascend310P.
        case inference
        /// The first generation and every unknown chip: float16, and whatever the probe finds.
        case other
    }

    /// "Ascend910B3"
    let name: String
    let generation: Generation

    /// The name without the common prefix: "910B3".
    var shortName: String { String(name.trimmingPrefix("Ascend")) }

    /// An allow list, because names do not order chips: "Ascend910B" alone is of the first generation (CANN 8.1,
    /// platform_config/Ascend910B.ini: Short_SoC_version=Ascend910), "Ascend910B1" is not (torch_npu NpuVariables.h).
    init(_ name: String) {
        self.name = name
        func follows(_ prefix: String) -> Bool {
            name.hasPrefix(prefix) && name.dropFirst(prefix.count).first?.isNumber == true
        }
        generation =
            if follows("Ascend910B") {
                .a2
            } else if follows("Ascend910_93") {
                .a3
            } else if name.hasPrefix("Ascend950") || name.hasPrefix("Ascend910_95") {
                .a5
            } else if name.hasPrefix("Ascend310P") {
                .inference
            } else {
                .other
            }
    }

    /// Whether products support bfloat16 (torch_npu, IsBF16Supported).
    var hasBFloat16: Bool {
        switch generation {
        case .a2, .a3, .a5: true
        case .inference, .other: false
        }
    }

    /// Whether RecSDK's fused attention supports jagged rows (its operators' AddConfig). On other chips it pads rows to
    /// multiples of 128 under a dense mask, which is more work for the usual lengths than composed attention.
    var hasJaggedAttention: Bool { hasBFloat16 }
}
