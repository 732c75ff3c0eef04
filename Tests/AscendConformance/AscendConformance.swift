// Runs the device conformance suite on an Ascend NPU, or on the emulator if CANN's libraries are the emulator's, and
// prints a report to paste into an issue. For machines with the hardware, and for this project's tests, which need one
// process per profile.
//
//     AscendConformance [--device N] [--dtype float16|bfloat16] [--only TEXT] [--part N/M] [--times yes|no]

import Compute
import ComputeAscend
import DeviceConformance
import Glibc

/// The options of the command line.
private struct Options {
    var device = 0
    var dtype: DType?
    /// Runs the cases whose names contain this.
    var only = ""
    /// Runs every `of`-th case from this one on, counted from 0.
    var part = (first: 0, of: 1)
    /// Whether the table of times is printed.
    var isTimed = true

    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch flag {
            case "--device":
                guard let number = Int(value) else { return nil }
                device = number
            case "--dtype":
                guard let named = DType(rawValue: value) else { return nil }
                dtype = named
            case "--only": only = value
            case "--part":
                let numbers = value.split(separator: "/").compactMap { Int($0) }
                guard numbers.count == 2, numbers[1] > 0, (1...numbers[1]).contains(numbers[0]) else { return nil }
                part = (numbers[0] - 1, numbers[1])
            case "--times":
                guard value == "yes" || value == "no" else { return nil }
                isTimed = value == "yes"
            default: return nil
            }
        }
    }
}

/// Prints a line of the report immediately, so that it survives a crash.
private func say(_ line: String) {
    print(line)
    fflush(nil)
}

/// The running case, printed as the last line if a signal kills the process inside CANN.
private enum Progress {
    /// A C string at a fixed address: this thread writes it, and a signal handler reads it.
    nonisolated(unsafe) fileprivate static let text = UnsafeMutablePointer<CChar>.allocate(capacity: 512)

    static func note(_ name: String) {
        let line = "ended by a signal within: \(name)\n"
        _ = line.withCString { strncpy(text, $0, 511) }
        text[511] = 0
    }

    /// Makes a fatal signal print a last line and end the process with status 3.
    static func watch() {
        note("the opening of the device")
        for number in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT] {
            signal(number) { _ in
                _ = write(1, Progress.text, strlen(Progress.text))
                _exit(3)
            }
        }
    }
}

/// The suite on one NPU, which is opened again if a case loses it.
private struct Suite {
    private let options: Options
    /// One device; empty only while it is opened again.
    private var opened: [AscendDevice] = []
    private var losses = 0

    private var device: AscendDevice { opened[0] }

    init(_ options: Options) throws(ComputeError) {
        self.options = options
        try open()
    }

    private mutating func open() throws(ComputeError) {
        opened = []
        opened.append(try AscendDevice.open(number: options.device, dtype: options.dtype))
    }

    /// Runs the cases; returns the number of failures.
    mutating func run() throws(ComputeError) -> Int {
        let description = device.description
        say("\(description.name): Ascend\(description.architecture), \(description.dtype.rawValue)")
        for line in device.report { say(line) }
        var (passed, failed, skipped) = (0, 0, 0)
        for (index, conformanceCase) in DeviceConformance.cases.enumerated()
        where index % options.part.of == options.part.first
            && (options.only.isEmpty || conformanceCase.name.contains(options.only))
        {
            guard conformanceCase.operations.allSatisfy(device.supports) else {
                skipped += 1
                say("skipped: \(conformanceCase.name)")
                continue
            }
            Progress.note(conformanceCase.name)
            let failures = conformanceCase.failures(on: device)
            for failure in failures { say(failure) }
            if failures.isEmpty { passed += 1 } else { failed += 1 }
            if !failures.isEmpty, !isUsable {
                losses += 1
                guard losses <= 8 else { throw ComputeError(.deviceLost, "the chip was lost \(losses) times") }
                say("the chip is reset, and the suite goes on")
                try open()
            }
        }
        say(
            "\(passed) passed, \(failed) failed, \(skipped) skipped; \(device.memory.workspaceBytes) bytes of workspace"
        )
        if options.isTimed { try time() }
        return failed
    }

    private var isUsable: Bool {
        do throws(ComputeError) {
            try device.makeStream().begin()
            return true
        } catch {
            return false
        }
    }

    /// Times of products and of attention, each in its own synchronised batch: the first run, and the median of twenty.
    private func time() throws(ComputeError) {
        Progress.note("the table of times")
        guard device.supports(.linear), device.supports(.hstuAttention) else { return }
        say(
            "times in microseconds: the first batch, then the median of twenty, which are captured where that is possible"
        )
        let weights = try Times.weights(on: device)
        for rows in [1, 64, 1024] {
            let product = try measure { (stream) throws(ComputeError) in try Times.product(rows, weights, stream) }
            say("  linear \(rows) x 512 x 512: \(product.first) \(product.median)")
        }
        for rows in [64, 512] {
            let attention = try measure { (stream) throws(ComputeError) in try Times.attention(rows, stream) }
            say("  hstu attention of 8 sequences of \(rows), 4 heads of 64: \(attention.first) \(attention.median)")
        }
    }

    private struct Measured {
        var first: Int
        var median: Int
    }

    private func measure(_ body: (any Stream) throws(ComputeError) -> Void) throws(ComputeError) -> Measured {
        let stream = try device.makeStream()
        var times: [Int] = []
        for _ in 0..<21 {
            let begin = ContinuousClock.now
            try stream.begin()
            try body(stream)
            try stream.synchronize()
            let (seconds, attoseconds) = (ContinuousClock.now - begin).components
            times.append(Int(seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000))
        }
        return Measured(first: times[0], median: times[1...].sorted()[10])
    }
}

/// The timed operations.
private enum Times {
    static func weights(on device: AscendDevice) throws(ComputeError) -> any LinearWeights {
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: 512 * 512)
        defer { values.deallocate() }
        values.initialize(repeating: 0.5)
        let bytes = UnsafeRawBufferPointer(values)
        let matrix = HostTensor(name: "times", dtype: .float32, shape: [512, 512], bytes: bytes)
        return try device.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: nil)
    }

    static func product(_ rows: Int, _ weights: any LinearWeights, _ stream: any Stream) throws(ComputeError) {
        let x = try stream.makeTensor(rows: rows, columns: 512, dtype: .float32)
        let out = try stream.makeTensor(rows: rows, columns: 512, dtype: .float32)
        try stream.linear(LinearOperation(input: .plain(x), weights: weights, output: out))
    }

    static func attention(_ rows: Int, _ stream: any Stream) throws(ComputeError) {
        let layout = Jagged(lengths: [Int](repeating: rows, count: 8))
        let x = try stream.makeTensor(rows: 8 * rows, columns: 256, dtype: .float32)
        let out = try stream.makeTensor(rows: 8 * rows, columns: 256, dtype: .float32)
        try stream.attention(
            AttentionOperation(
                .silu,
                layout: layout,
                queryRows: .all,
                query: x,
                key: x,
                value: x,
                output: out,
                heads: 4,
                scale: 1 / Float(rows),
                bias: nil
            )
        )
    }
}

@main
private enum AscendConformance {
    static func main() {
        guard let options = Options(Array(CommandLine.arguments.dropFirst())) else {
            print(
                "usage: AscendConformance [--device N] [--dtype float16|bfloat16] [--only TEXT] [--part N/M] [--times yes|no]"
            )
            exit(2)
        }
        Progress.watch()
        do throws(ComputeError) {
            let failed = try run(options)
            try AscendProcess.finalize()
            exit(failed == 0 ? 0 : 1)
        } catch {
            say("\(error.code.rawValue): \(error.message)")
            exit(1)
        }
    }

    /// A separate function, so that the device is released before CANN ends.
    private static func run(_ options: Options) throws(ComputeError) -> Int {
        var suite = try Suite(options)
        return try suite.run()
    }
}
