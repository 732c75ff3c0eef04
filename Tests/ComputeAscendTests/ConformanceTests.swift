// The device conformance suite over the emulator, one process per profile: chips with and without bfloat16, both
// generations of CANN, and a chip that lacks most operators that can be composed of others.

import AscendEmulatorSupport
import TestSupport
import Testing

struct Profile: Sendable, CustomTestStringConvertible {
    var name: String
    var layout: String
    var environment: [String: String]
    var arguments: [String] = []
    /// The share of the cases that an ordinary run takes; the profiles together cover all of them.
    var part = "1/1"
    var says: String

    var testDescription: String { name }

    static let all = [
        Profile(
            name: "910B in bfloat16 with CANN 8.1",
            layout: "8.1",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend910B3", "ASCEND_EMULATOR_SEED": "1", "ASCEND_EMULATOR_DELAY": "5",
            ],
            says: "ascend:0: Ascend910B3, bfloat16"
        ),
        Profile(
            name: "910B in bfloat16 with fused attention",
            layout: "8.1",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend910B1", "ASCEND_EMULATOR_SEED": "3", "ASCEND_EMULATOR_DELAY": "2",
                "ASCEND_CUSTOM_OPP_PATH": "@/packages/vendors/recsdk",
            ],
            part: "1/4",
            says: "HSTU attention is fused: aclnnHstuDenseForward of "
        ),
        Profile(
            name: "910B in float16 with fused attention in its newer form",
            layout: "9.x",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend910B2", "ASCEND_EMULATOR_GENERATION": "9", "ASCEND_EMULATOR_SEED": "4",
                "ASCEND_EMULATOR_DELAY": "2",
                "ASCEND_CUSTOM_OPP_PATH": "/nowhere:@/packages/vendors/recsdk-newer",
            ],
            arguments: ["--dtype", "float16"],
            part: "2/4",
            says: "recsdk-newer/op_api/lib/libcust_opapi.so"
        ),
        Profile(
            name: "310P in float16 with CANN 9.x",
            layout: "9.x",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend310P3", "ASCEND_EMULATOR_GENERATION": "9", "ASCEND_EMULATOR_SEED": "2",
                "ASCEND_EMULATOR_DELAY": "5",
            ],
            part: "3/4",
            says: "ascend:0: Ascend310P3, float16"
        ),
        Profile(
            name: "the second of two 910B in float16, composed",
            layout: "8.1",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend910B4", "ASCEND_EMULATOR_DEVICES": "2", "ASCEND_EMULATOR_DELAY": "2",
                "ASCEND_EMULATOR_UNSUPPORTED":
                    "LayerNorm,RmsNorm,SwiGlu,InplaceIndexCopy,BitwiseAndTensor,Log,TransMatmulWeight",
            ],
            arguments: ["--device", "1", "--dtype", "float16"],
            part: "4/4",
            says: "ascend:1: Ascend910B4, float16"
        ),
        Profile(
            name: "910_93 in bfloat16 with fused attention of 2026",
            layout: "9.x",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend910_9391", "ASCEND_EMULATOR_GENERATION": "9",
                "ASCEND_EMULATOR_DELAY": "2",
                "ASCEND_CUSTOM_OPP_PATH": "@/packages/vendors/recsdk-2026",
            ],
            part: "1/8",
            says: "HSTU attention is fused: aclnnHstuJaggedForward of "
        ),
        Profile(
            name: "910A in float16 with CANN 8.1",
            layout: "8.1",
            environment: ["ASCEND_EMULATOR_SOC": "Ascend910A", "ASCEND_EMULATOR_DELAY": "2"],
            part: "2/8",
            says: "ascend:0: Ascend910A, float16"
        ),
        Profile(
            name: "910B of the first generation in float16 with CANN 8.1",
            layout: "8.1",
            environment: ["ASCEND_EMULATOR_SOC": "Ascend910B", "ASCEND_EMULATOR_DELAY": "2"],
            part: "3/8",
            says: "ascend:0: Ascend910B, float16"
        ),
        Profile(
            name: "950 in bfloat16 with CANN 9.x",
            layout: "9.x",
            environment: [
                "ASCEND_EMULATOR_SOC": "Ascend950PR_9579", "ASCEND_EMULATOR_GENERATION": "9",
                "ASCEND_EMULATOR_DELAY": "2",
            ],
            part: "4/8",
            says: "ascend:0: Ascend950PR_9579, bfloat16"
        ),
    ]
}

struct ConformanceTests {
    @Test(arguments: Profile.all)
    func conforms(_ profile: Profile) throws {
        let output = try Emulator.conformance(
            profile.arguments + ["--part", LongTests.areWanted ? "1/1" : profile.part],
            layout: profile.layout,
            environment: profile.environment
        )
        #expect(output.text.contains(profile.says))
        #expect(output.text.contains(", 0 failed, 0 skipped"))
        // Nothing leaks either: the emulator would report it at its end.
        #expect(output.status == 0, "\(output.text)")
    }

    /// An operation that cannot be composed is unsupported, and the cases that need it are skipped.
    @Test
    func skipsCases_WhenTheChipLacksAnOperator() throws {
        let output = try Emulator.conformance(
            ["--only", "top k"],
            layout: "8.1",
            environment: ["ASCEND_EMULATOR_UNSUPPORTED": "Topk"]
        )
        #expect(output.status == 0, "\(output.text)")
        #expect(output.text.contains("0 passed, 0 failed"))
        #expect(output.text.contains("skipped: top k of 2 rows"))
    }

    /// The fused operator is used where it is correct; otherwise the note gives the reason.
    @Test(
        arguments: [
            (
                [:],
                "HSTU attention is composed: no installed package has aclnnHstuJaggedForward; "
                    + "no installed package has aclnnHstuDenseForward"
            ),
            (["ASCEND_OPP_PATH": "@/packages"], "HSTU attention is fused: aclnnHstuDenseForward of "),
            (
                ["ASCEND_OPP_PATH": "@/packages", "ASCEND_EMULATOR_FLAWS": "hstu-mask"],
                "libcust_opapi.so differs by "
            ),
            (
                ["ASCEND_OPP_PATH": "@/packages", "ASCEND_EMULATOR_FLAWS": "hstu-fault"],
                "aclnnHstuDenseForward: the chip was lost when it was tried: "
            ),
            (
                ["ASCEND_CUSTOM_OPP_PATH": "@/packages/vendors/recsdk-2026"],
                "HSTU attention is fused: aclnnHstuJaggedForward of "
            ),
            (
                ["ASCEND_CUSTOM_OPP_PATH": "@/packages/vendors/recsdk-2026", "ASCEND_EMULATOR_FLAWS": "hstu-fault"],
                "HSTU attention is composed: aclnnHstuJaggedForward: the chip was lost when it was tried: "
            ),
            (
                [
                    "ASCEND_CUSTOM_OPP_PATH": "@/packages/vendors/recsdk:@/packages/vendors/recsdk-2026",
                    "ASCEND_EMULATOR_UNSUPPORTED": "HstuJaggedForward",
                ],
                "HSTU attention is fused: aclnnHstuDenseForward of "
            ),
            (
                ["ASCEND_OPP_PATH": "@/packages", "ASCEND_EMULATOR_UNSUPPORTED": "HstuDenseForward"],
                "aclnnHstuDenseForward failed with ACLNN_ERR_INNER_FIND_KERNEL (561003)"
            ),
            (
                ["ASCEND_OPP_PATH": "@/packages", "ASCEND_EMULATOR_SOC": "Ascend310P3"],
                "HSTU attention is composed: Ascend310P3 has the fused operator for padded rows only"
            ),
            ([:], "repeated batches are captured"),
            (
                ["ASCEND_EMULATOR_SOC": "Ascend310P3"],
                "batches are run operator by operator: aclmdlRICaptureBegin failed with ACL_ERROR_RT_FEATURE_NOT_SUPPORT"
            ),
            (["ASCEND_EMULATOR_SOC": "Ascend310P3"], "weights are in FRACTAL_NZ"),
            (["ASCEND_EMULATOR_SOC": "Ascend910A"], "ranked on the host, because Topk ranks in half precision"),
            (
                ["ASCEND_EMULATOR_SOC": "Ascend310P3", "ASCEND_EMULATOR_GENERATION": "9"],
                "weights are not in FRACTAL_NZ: products with FRACTAL_NZ give different results"
            ),
            (
                ["ASCEND_EMULATOR_SOC": "Ascend910A"],
                "weights are not in FRACTAL_NZ: aclnnCalculateMatmulWeightSizeV2 failed with ACLNN_ERR_RUNTIME_ERROR (361001)"
            ),
        ] as [([String: String], String)]
    )
    func tells_HowAttentionIsComputed(_ environment: [String: String], _ sentence: String) throws {
        let output = try Emulator.conformance(
            ["--only", "hstu attention [40, 23, 9]"],
            layout: "8.1",
            environment: environment
        )
        #expect(output.status == 0, "\(output.text)")
        #expect(output.text.contains(sentence), "\(output.text)")
        #expect(output.text.contains(" 0 failed"))
    }

    @Test
    func saysWhatIsMissing_WhenThereIsNoCANN() throws {
        let output = try Emulator.conformance([], layout: "none", environment: [:])
        #expect(output.status == 1)
        #expect(
            output.text.contains(
                "the CANN runtime (libacl_rt.so or libascendcl.so) was not found: looked on the library path"
            )
        )
    }

    @Test(arguments: [
        (["--device", "1"], "there is no device ascend:1: CANN sees 1"),
        (["--dtype", "float32"], "Ascend310P3 does not compute in float32"),
        (["--dtype", "bfloat16"], "Ascend310P3 does not compute in bfloat16"),
    ])
    func refuses(_ arguments: [String], _ sentence: String) throws {
        let output = try Emulator.conformance(
            arguments,
            layout: "8.1",
            environment: ["ASCEND_EMULATOR_SOC": "Ascend310P3"]
        )
        #expect(output.status == 1)
        #expect(output.text.contains(sentence), "\(output.text)")
    }
}
