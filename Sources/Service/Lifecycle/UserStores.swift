// Opens the user store that the settings name.

internal import Logging
internal import Users

extension UserStoreSettings {
    /// - Parameter stateDirectory: the server's folder for persistent state; nil: none.
    /// - Returns: the store; nil if the settings name none.
    /// - Throws: `UserStoreError` for an unusable folder.
    func open(stateDirectory: String?, logger: Logger) throws -> (any UserStore)? {
        if let redis {
            return try RedisUserStore(redis) { logger.warning("\($0)") }
        }
        guard let local = local(stateDirectory: stateDirectory) else { return nil }
        let store = try LocalUserStore(
            local,
            reportFailure: { error in
                logger.error("the user store failed", metadata: ["error": "\(error.description)"])
            }
        )
        if store.recovery.cutBytes > 0 {
            logger.warning(
                "the users' journal ended in an incomplete record, which was cut off",
                metadata: ["users.cut_bytes": "\(store.recovery.cutBytes)"]
            )
        }
        return store
    }
}
