// swift-tools-version: 6.2

import PackageDescription

// Every Swift target of this package is compiled under the same rules: Swift 6 language mode (from the tools version),
// warnings are errors, and the upcoming features below. The arrows between targets are the ones drawn in
// Sources/Service/Service.docc/Architecture.md; `--explicit-target-dependency-import-check error` enforces them.
let swiftSettings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// Kernels are optimised in every configuration: a debug build of a matrix product is some hundred times slower, and
// the golden tests would take minutes. Floating-point contraction is off, so that a product and a sum are fused only
// where a kernel says so. `unsafeFlags` keeps other packages from depending on this one; it is an application.
let kernelSettings: [CSetting] = [
    .treatAllWarnings(as: .error),
    .unsafeFlags(["-O3", "-ffp-contract=off", "-fno-math-errno"]),
]

// The references that devices are compared with are plain loops over doubles: unoptimised, they take the time of the tests.
let referenceSettings = swiftSettings + [.unsafeFlags(["-O"])]

let shimSettings: [CSetting] = [.treatAllWarnings(as: .error), .define("_GNU_SOURCE")]

let package = Package(
    name: "genrec",
    products: [
        .executable(name: "genrec", targets: ["genrec"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: [
        // The command.
        .executableTarget(
            name: "genrec",
            dependencies: [
                "Service", "Evaluation", "Load", "Users", "Interactions", "Engine", "Devices", "Importers", "Models",
                "Catalogue", "Compute", "Files", "JSON",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swiftSettings
        ),

        // A client that puts a server under load.
        .target(
            name: "Load",
            dependencies: [
                "Locking",
                "Interactions", "HTTP", "JSON", "Random", "CLinux",
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: swiftSettings
        ),

        // Where HTTP meets Engine.
        .target(
            name: "Service",
            dependencies: [
                "Locking", "Random",
                "HTTP", "Engine", "Users", "Redis", "Journal", "Devices", "Models", "Catalogue", "Compute", "Telemetry",
                "Files",
                "JSON", "CLinux",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: swiftSettings
        ),

        // Bundles judged and timed without HTTP.
        .target(
            name: "Evaluation",
            dependencies: [
                "Interactions", "Engine", "Devices", "Models", "Catalogue", "Compute", "JSON", "Random",
            ],
            swiftSettings: swiftSettings
        ),

        // Data sets of what users did, as the field shares them.
        .target(name: "Interactions", dependencies: ["Files", "JSON"], swiftSettings: swiftSettings),

        // What users did, kept for those who ask by user.
        .target(
            name: "Users",
            dependencies: ["Journal", "Locking", "Redis", "HTTP", "Files"],
            swiftSettings: swiftSettings
        ),
        // A client of Redis and Valkey, on HTTP's loops.
        .target(name: "Redis", dependencies: ["HTTP", "Locking"], swiftSettings: swiftSettings),

        // Changes on disk, each there as a whole or not at all.
        .target(name: "Journal", dependencies: ["Files", "CZlib"], swiftSettings: swiftSettings),

        // The rooms below. HTTP and Engine never see each other.
        .target(name: "HTTP", dependencies: ["Locking", "CLinux", "COpenSSL", "CZlib"], swiftSettings: swiftSettings),
        .target(
            name: "Devices",
            dependencies: ["Engine", "ComputeCPU", "ComputeAscend", "Compute", "Files", "JSON"],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Engine",
            dependencies: [
                "Locking",
                "Models", "Catalogue", "Compute", "Random", "CLinux",
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Importers",
            dependencies: ["Models", "Catalogue", "Compute", "Files", "JSON", "CZlib"],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Models",
            dependencies: ["Catalogue", "Compute", "Files", "JSON"],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Catalogue",
            dependencies: ["Journal", "Locking", "Compute", "Files", "JSON"],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "ComputeCPU",
            dependencies: ["Locking", "Compute", "CKernels", "CLinux"],
            swiftSettings: swiftSettings
        ),
        .target(name: "ComputeAscend", dependencies: ["Locking", "Compute", "CAscend"], swiftSettings: swiftSettings),
        .target(name: "Compute", swiftSettings: swiftSettings),
        .target(
            name: "Telemetry",
            dependencies: ["Locking", "JSON", "Random", .product(name: "Logging", package: "swift-log")],
            swiftSettings: swiftSettings
        ),
        .target(name: "Files", dependencies: ["COpenSSL", "CZlib"], swiftSettings: swiftSettings),
        .target(name: "JSON", swiftSettings: swiftSettings),
        .target(name: "Locking", swiftSettings: swiftSettings),
        .target(name: "Random", swiftSettings: swiftSettings),

        // One foreign thing each.
        .target(name: "CKernels", exclude: ["lists"], cSettings: kernelSettings),
        .target(name: "CLinux", cSettings: shimSettings),
        .target(name: "CAscend", cSettings: shimSettings),
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),

        // The conformance suite that every device runs; a library, so that each device's own tests can call it.
        .target(
            name: "DeviceConformance",
            dependencies: ["Compute", "Random"],
            path: "Tests/DeviceConformance",
            swiftSettings: referenceSettings
        ),
        // What the tests of several rooms use.
        .target(
            name: "TestSupport",
            dependencies: ["JSON", "Random", "CZlib"],
            path: "Tests/Support",
            swiftSettings: swiftSettings
        ),
        // Certificates, and a client without a socket, for the tests that speak TLS.
        .target(name: "TLSTesting", dependencies: ["COpenSSL"], path: "Tests/TLSTesting", swiftSettings: swiftSettings),
        // A server of Redis that does what a test says.
        .target(
            name: "RedisTesting",
            dependencies: ["Redis", "HTTP", "Locking", "CLinux"],
            path: "Tests/RedisTesting",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "HTTPTests",
            dependencies: ["Locking", "HTTP", "Random", "CLinux", "COpenSSL", "CZlib", "TLSTesting"],
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"], swiftSettings: swiftSettings),
        .testTarget(name: "LockingTests", dependencies: ["Locking"], swiftSettings: swiftSettings),
        .testTarget(name: "JSONTests", dependencies: ["JSON", "Random", "TestSupport"], swiftSettings: swiftSettings),
        .testTarget(
            name: "InteractionsTests",
            dependencies: ["Interactions", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "CatalogueTests",
            dependencies: ["Catalogue", "Compute", "Files", "JSON", "Random", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "RedisTests",
            dependencies: ["Redis", "RedisTesting", "Locking", "Random"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "UsersTests",
            dependencies: ["Users", "Journal", "Redis", "RedisTesting", "Locking", "Random", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Locking", "Engine", "Models", "Catalogue", "Compute", "Files", "Random", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ModelsTests",
            dependencies: ["Models", "Catalogue", "Compute", "Files", "JSON", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ImportersTests",
            dependencies: [
                "Importers", "Models", "Catalogue", "Compute", "Files", "JSON", "Random", "CZlib", "TestSupport",
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "EvaluationTests",
            dependencies: ["Evaluation", "Interactions", "JSON"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ComputeCPUTests",
            dependencies: ["ComputeCPU", "Compute", "CKernels", "DeviceConformance", "Random"],
            swiftSettings: swiftSettings
        ),
        // The suite on an Ascend NPU, as a program: CANN is one a process, and people with hardware run it by hand.
        .executableTarget(
            name: "AscendConformance",
            dependencies: ["Compute", "ComputeAscend", "DeviceConformance"],
            path: "Tests/AscendConformance",
            swiftSettings: swiftSettings
        ),
        // Builds Tests/AscendEmulator, which is no target, and makes it a test's CANN.
        .target(
            name: "AscendEmulatorSupport",
            path: "Tests/AscendEmulatorSupport",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ComputeAscendTests",
            dependencies: [
                "Locking", "AscendConformance", "AscendEmulatorSupport", "ComputeAscend", "Compute", "TestSupport",
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "GoldenTests",
            dependencies: [
                "Locking",
                "Importers", "Models", "Engine", "Catalogue", "Compute", "ComputeCPU", "ComputeAscend", "Files", "JSON",
                "Random", "AscendEmulatorSupport",
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "LoadTests",
            dependencies: [
                "Load", "Interactions", "JSON", "Random", "CLinux", "TestSupport",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ProcessTests",
            dependencies: ["Locking", "genrec", "RedisTesting", "TLSTesting", "AscendEmulatorSupport"],
            // Built by the tests that put them before the server.
            exclude: ["Interposers"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "TelemetryTests",
            dependencies: ["Telemetry", "JSON", .product(name: "Logging", package: "swift-log")],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ServiceTests",
            dependencies: [
                "Locking",
                "Service", "HTTP", "Engine", "Devices", "Models", "Catalogue", "Compute", "Telemetry", "Files", "JSON",
                "Users", "TestSupport", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
    ]
)
