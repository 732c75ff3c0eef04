// JSON Schemas that describe a model.

internal import JSON

extension ContractSchemas {
    /// `device` and the members after it describe the first device that serves the model.
    static let loadedModel = object(
        [
            ("name", ["type": "string"]), ("version", ["type": "string"]), ("architecture", ["type": "string"]),
            ("parameters", count), ("catalogue_size", count), ("window", count),
            (
                "state",
                [
                    "type": "string",
                    "description": """
                    ready; degraded: not every device serves; loading; failed; retiring: requests that it has are answered still; or \
                    why nothing is served.
                    """,
                ]
            ),
            ("reason", ["type": "string", "description": "Why it could not be loaded."]),
            ("share", percent), ("shadow", percent),
            ("catalogue", object([("items", count), ("unavailable", count), ("changed", count)], required: nil)),
            ("devices", ["type": "array", "minItems": 1, "items": engineOfModel]),
            ("device", ["type": "string"]), ("instruction_set", ["type": "string"]), ("dtype", ["type": "string"]),
            ("threads", ["type": "integer", "minimum": 1]), ("tuning", tuning),
            ("configuration", ["type": "object"]), ("cache_bytes_per_event", count), ("prefix_cache", prefixCache),
            ("semantic_ids", semanticIDs),
            (
                "operations_per_request",
                object(
                    [
                        ("length", count), ("linear", count), ("attention", count), ("scoring", count),
                        ("total", count),
                    ],
                    required: nil
                )
            ),
        ],
        required: ["name", "version", "state"]
    )

    /// A device, or its fallback while the device is unavailable.
    private static let engineOfModel = object(
        [
            ("name", ["type": "string", "description": "The device, as it was asked for."]),
            (
                "state",
                [
                    "type": "string",
                    "description":
                        "ready; degraded: the fallback, named under device, serves in its place; or why it does not serve.",
                ]
            ),
            ("reason", ["type": "string", "description": "What the device failed with."]),
            ("device", ["type": "string"]), ("instruction_set", ["type": "string"]), ("dtype", ["type": "string"]),
            ("threads", ["type": "integer", "minimum": 1]), ("tuning", tuning), ("prefix_cache", prefixCache),
            (
                "catalogue_copy",
                [
                    "type": "string", "enum": ["used", "not_faster", "no_memory"],
                    "description": "What became of a quantised copy of the catalogue; absent where none is wanted.",
                ]
            ),
            (
                "catalogue_copy_bytes",
                [
                    "type": "integer", "minimum": 1,
                    "description": "Of the quantised copy of the catalogue that scans read first; absent without one.",
                ]
            ),
        ],
        required: ["name", "state"]
    )

    private static let tuning = object(
        [
            ("kernels", ["type": "string", "description": "Those that serve: the fastest."]),
            (
                "gflops_per_thread",
                [
                    "type": "object", "additionalProperties": ["type": "number"],
                    "description": "What was measured, or what engine.tuning_file had of this processor.",
                ]
            ),
        ],
        required: nil
    )

    private static let prefixCache = object(
        [
            ("reuse", ["enum": ["exact", "none"]]),
            ("reason", ["type": "string", "description": "Why nothing is used again."]),
            ("bytes", ["type": "integer", "minimum": 0, "description": "For the rows of all users."]),
            ("page_rows", count), ("bytes_per_event", count),
        ],
        required: ["reuse"]
    )
}
