// The processor quota of control groups, from the kernel's files.

import Testing

@testable import ComputeCPU

struct AvailableThreadsTests {
    @Test
    func isAtLeastOne() {
        #expect(CPUDevice.availableThreads >= 1)
    }

    @Test(arguments: [
        ("max 100000\n", nil), ("200000 100000\n", 2), ("150000 100000", 1), ("50000 100000\n", 1),
        ("-1 100000\n", nil),
        ("", nil), ("100000", nil), ("100000 0", nil), ("words here", nil),
    ])
    func readsAQuota(_ text: String, _ expected: Int?) {
        #expect(ProcessorQuota.unified(text) == expected)
    }

    @Test(arguments: [
        ("0::/\n", ""), ("0::/system.slice/genrec.service\n", "/system.slice/genrec.service"),
        ("12:cpu:/x\n0::/y\n", "/y"), ("12:cpu:/x\n", nil), ("", nil),
    ])
    func readsThePathOfTheGroup(_ text: String, _ expected: String?) {
        #expect(ProcessorQuota.unifiedPath(text) == expected)
    }
}
