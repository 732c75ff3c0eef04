// The pool of key and value pages: its accounting and its resident memory.

import Compute
import Glibc
import Testing

@testable import ComputeCPU

struct KeyValuePagesTests {
    private static let shape = KeyValueShape(layers: 3, heads: 4, keyColumns: 128, valueColumns: 64)
    private static let pageBytes = 3 * 4 * (128 + 64) * 16 * 4

    private func pool(_ device: CPUDevice, byteCount: Int) throws -> CPUKeyValuePages {
        try #require(device.makeKeyValuePages(Self.shape, byteCount: byteCount) as? CPUKeyValuePages)
    }

    /// Resident bytes of the pool.
    private func residentBytes(_ pool: CPUKeyValuePages) throws -> Int {
        let page = sysconf(Int32(_SC_PAGESIZE))
        let byteCount = pool.pageCount * pool.pageByteCount
        var resident = [UInt8](repeating: 0, count: (byteCount + page - 1) / page)
        try #require(mincore(pool.memory.floats, byteCount, &resident) == 0)
        return resident.count { $0 & 1 == 1 } * page
    }

    /// Stores this many rows of the working memory's current content.
    private func store(rows: Int, in pages: [Int32], of pool: CPUKeyValuePages, layer: Int, on device: CPUDevice) throws
    {
        let stream = try device.makeStream()
        try stream.begin()
        let sequence = PagedSequence(rows: 0, pages: pages, storesRows: true)
        try stream.store(
            StoreOperation(
                layout: Jagged(lengths: [rows]),
                key: stream.makeTensor(rows: rows, columns: 4 * 128, dtype: .float32),
                value: stream.makeTensor(rows: rows, columns: 4 * 64, dtype: .float32),
                prefix: CachedPrefix(cached: CachedRows(pages: pool, sequences: [sequence]), layer: layer)
            )
        )
        try stream.synchronize()
    }

    @Test
    func holdsAsManyPagesAsFit() throws {
        let device = try CPUDevice(threads: 1)
        for (byteCount, pages) in [
            (Self.pageBytes, 1), (2 * Self.pageBytes - 1, 1), (2 * Self.pageBytes, 2),
            (1 << 24, (1 << 24) / Self.pageBytes),
        ] {
            let pool = try pool(device, byteCount: byteCount)
            #expect(pool.pageCount == pages)
            #expect(pool.pageByteCount == Self.pageBytes)
            #expect(pool.pageRows == 16)
        }
        #expect(throws: ComputeError(.invalidArgument, "")) { try pool(device, byteCount: Self.pageBytes - 1) }
    }

    @Test
    func countsItsMemory_WhileItLives() throws {
        let device = try CPUDevice(threads: 1)
        do {
            let first = try pool(device, byteCount: 10 * Self.pageBytes + 5)
            let second = try pool(device, byteCount: Self.pageBytes)
            #expect(device.memory.pageBytes == 11 * Self.pageBytes)
            withExtendedLifetime((first, second)) {}
        }
        #expect(device.memory == DeviceMemory(weightBytes: 0, workspaceBytes: 0))
    }

    @Test
    func refuses_MoreThanThereIs() throws {
        let device = try CPUDevice(threads: 1)
        #expect(throws: ComputeError(.outOfMemory, "")) { try pool(device, byteCount: .max) }
        #expect(device.memory.pageBytes == 0)
    }

    @Test
    func isResident_OnlyWhereItWasWritten() throws {
        let device = try CPUDevice(threads: 1)
        let pool = try pool(device, byteCount: 1 << 30)
        #expect(try residentBytes(pool) == 0)
        try store(rows: 20, in: [0, Int32(pool.pageCount) - 1], of: pool, layer: 2, on: device)
        // At least one layer of two pages; at most the huge pages that contain them, up to two each.
        let resident = try residentBytes(pool)
        #expect(resident >= 2 * Self.pageBytes / 3 && resident <= 4 * AlignedMemory.hugePage)
    }

    @Test
    func releasedPages_AreNoLongerResident_AndTheOthersKeepTheirRows() throws {
        let device = try CPUDevice(threads: 1)
        let pool = try pool(device, byteCount: 1 << 30)
        let pages = (0..<64).map { Int32($0) }
        for layer in 0..<3 {
            for page in pages { try store(rows: 16, in: [page], of: pool, layer: layer, on: device) }
        }
        let before = try residentBytes(pool)
        let kept = UnsafeRawBufferPointer(
            start: pool.floats(layer: 0) + 40 * pool.pageFloats,
            count: Self.pageBytes
        )
        let rows = Array(kept)
        // Unsorted, with and without neighbours.
        pool.release([63, 3, 1, 2] + Array(5..<40))
        // Each run of pages may keep less than one system page at either end.
        let after = try residentBytes(pool)
        #expect(after <= before - 39 * Self.pageBytes + 3 * 2 * Int(getpagesize()))
        #expect(Array(kept) == rows)
        try store(rows: 16, in: [2], of: pool, layer: 0, on: device)
    }

    @Test
    func refuses_PagesOfAnotherDevice() throws {
        let device = try CPUDevice(threads: 1)
        let foreign = try pool(try CPUDevice(threads: 1), byteCount: 1 << 20)
        #expect(throws: ComputeError(.invalidArgument, "")) {
            try store(rows: 1, in: [0], of: foreign, layer: 0, on: device)
        }
    }

    @Test(arguments: InstructionSet.available)
    func measuresAPeak_AtEveryLevel(_ isa: InstructionSet) throws {
        let peak = try #require(try CPUDevice(threads: 2, isa: isa).measurePeakRate())
        #expect(peak > 0 && peak.isFinite)
    }
}
