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
                    ready; degraded: not every device serves; loading; failed; retiring: still answering its last \
                    requests; or why nothing is served.
                    """,
                ]
            ),
            ("reason", ["type": "string", "description": "Why the model could not be loaded."]),
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
            ("name", ["type": "string", "description": "The device, as configured."]),
            (
                "state",
                [
                    "type": "string",
                    "description":
                        "ready; degraded: the fallback, named in device, serves instead; or why the device does not serve.",
                ]
            ),
            ("reason", ["type": "string", "description": "The device's error."]),
            ("device", ["type": "string"]), ("instruction_set", ["type": "string"]), ("dtype", ["type": "string"]),
            ("threads", ["type": "integer", "minimum": 1]), ("tuning", tuning), ("prefix_cache", prefixCache),
            (
                "catalogue_copy",
                [
                    "type": "string", "enum": ["used", "not_faster", "no_memory"],
                    "description":
                        "Whether a quantised copy of the catalogue is used, and if not, why; absent if none was wanted.",
                ]
            ),
            (
                "catalogue_copy_bytes",
                [
                    "type": "integer", "minimum": 1,
                    "description":
                        "Bytes of the quantised copy of the catalogue that scans read first; absent if there is none.",
                ]
            ),
        ],
        required: ["name", "state"]
    )

    private static let tuning = object(
        [
            ("kernels", ["type": "string", "description": "The kernels in use: the fastest."]),
            (
                "gflops_per_thread",
                [
                    "type": "object", "additionalProperties": ["type": "number"],
                    "description": "The measurements, or those in engine.tuning_file for this processor.",
                ]
            ),
        ],
        required: nil
    )

    private static let prefixCache = object(
        [
            ("reuse", ["enum": ["exact", "none"]]),
            ("reason", ["type": "string", "description": "Why nothing is reused."]),
            ("bytes", ["type": "integer", "minimum": 0, "description": "Memory for the rows of all users."]),
            ("page_rows", count), ("bytes_per_event", count),
        ],
        required: ["reuse"]
    )
}
