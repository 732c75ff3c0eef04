// Chips by name: a name taken for another chip's would select a dtype that the chip lacks.

import Testing

@testable import ComputeAscend

struct ChipTests {
    @Test(
        arguments: [
            // The first generation; "Ascend910B" alone is one of it (CANN 8.1, platform_config/Ascend910B.ini).
            ("Ascend910A", .other, false), ("Ascend910ProA", .other, false), ("Ascend910PremiumA", .other, false),
            ("Ascend910B", .other, false), ("Ascend910ProB", .other, false), ("Ascend910", .other, false),
            // Atlas A2
            ("Ascend910B1", .a2, true), ("Ascend910B2", .a2, true), ("Ascend910B2C", .a2, true),
            ("Ascend910B3", .a2, true), ("Ascend910B4", .a2, true), ("Ascend910B4-1", .a2, true),
            // Atlas A3
            ("Ascend910_9391", .a3, true), ("Ascend910_9392", .a3, true), ("Ascend910_9362", .a3, true),
            // 950, and its earlier names
            ("Ascend950PR_9579", .a5, true), ("Ascend950DT_9591", .a5, true), ("Ascend910_9589", .a5, true),
            // Atlas inference
            ("Ascend310P1", .inference, false), ("Ascend310P3", .inference, false), ("Ascend310P7", .inference, false),
            // Chips with files in CANN 8.1 about which nothing is known here
            ("Ascend310", .other, false), ("Ascend310B1", .other, false), ("Ascend610", .other, false),
            ("Ascend610Lite", .other, false), ("Ascend031", .other, false), ("Ascend035", .other, false),
            ("BS9SX1AA", .other, false), ("SD3403", .other, false), ("MC61AM21AA", .other, false), ("", .other, false),
        ] as [(String, Chip.Generation, Bool)]
    )
    func generation_DeterminesTheDType(_ name: String, _ generation: Chip.Generation, _ hasBFloat16: Bool) {
        let chip = Chip(name)
        #expect(chip.generation == generation)
        #expect(chip.hasBFloat16 == hasBFloat16)
    }
}
