// Finds the user, item, time and action columns of a table by the names that public data sets use.

/// The role of a column.
enum ColumnRole: CaseIterable {
    case user
    case item
    case time
    case action

    /// The names of the role's column, in the form of `normalized`, best first: of several columns, the one with the
    /// best name is used.
    var names: [String] {
        switch self {
        case .user:
            [
                "user", "userid", "uid", "reviewerid", "visitorid", "customerid", "memberid", "accountid", "profileid",
                "username", "customer", "visitor", "reviewer", "sessionid", "session",
            ]
        case .item:
            [
                "item", "itemid", "iid", "parentasin", "asin", "movieid", "videoid", "productid", "trackid", "songid",
                "artistid", "bookid", "isbn", "newsid", "articleid", "businessid", "recipeid", "animeid", "gameid",
                "appid", "poiid", "venueid", "placeid", "locationid", "listingid", "hotelid", "courseid", "jobid",
                "podcastid", "showid", "contentid", "documentid", "docid", "goodsid", "skuid", "sku", "movie", "video",
                "product", "track", "song", "book", "article",
            ]
        case .time:
            [
                "timestamp", "timestamps", "unixreviewtime", "unixtimestamp", "unixtime", "ts", "timems", "timestampms",
                "tsms", "timeus", "timestampus", "time", "eventtime", "createdat", "datetime", "reviewtime",
                "eventdate", "date",
            ]
        case .action:
            [
                "action", "actiontype", "event", "eventtype", "eventname", "behavior", "behaviour", "behaviortype",
                "behaviourtype", "interaction", "interactiontype", "activity", "rating", "overall", "stars",
            ]
        }
    }

    /// The role's name in errors.
    var noun: String {
        switch self {
        case .user: "user (or user_id, userId, reviewerID, …)"
        case .item: "item (or item_id, movieId, parent_asin, asin, …)"
        case .time: "timestamp"
        case .action: "action (or event, behavior, rating, …)"
        }
    }
}

/// The indices of the relevant columns.
struct ColumnPlaces: Equatable {
    var user: Int
    var item: Int
    /// nil: the table has no times; its order is the order of the events.
    var time: Int?
    /// nil: the table has no actions, or they were not requested.
    var action: Int?
    /// The unit stated by the name of the time column; nil if it states none.
    var unit: TimeUnit?

    /// Finds the columns among these names.
    ///
    /// - Throws: the role for which no column, or more than one, has the best name.
    init(names: [String], readsActions: Bool = false) throws(ColumnFault) {
        let names = names.map(Self.normalized)
        func place(_ role: ColumnRole) throws(ColumnFault) -> Int? {
            for name in role.names {
                let places = names.indices.filter { names[$0] == name }
                guard places.count < 2 else { throw ColumnFault(role: role, count: places.count) }
                if let place = places.first { return place }
            }
            return nil
        }
        guard let user = try place(.user) else { throw ColumnFault(role: .user, count: 0) }
        guard let item = try place(.item) else { throw ColumnFault(role: .item, count: 0) }
        self.user = user
        self.item = item
        time = try place(.time)
        if readsActions { action = try place(.action) }
        switch time.map({ names[$0] }) {
        case "timems", "timestampms", "tsms": unit = .milliseconds
        case "timeus", "timestampus": unit = .microseconds
        default: unit = nil
        }
    }

    /// A name in lower case, without a colon and what follows (RecBole writes `user_id:token`), and without word
    /// separators.
    static func normalized(_ name: String) -> String {
        name.lowercased().prefix { $0 != ":" }.filter { !"_-. ".contains($0) }
    }
}

/// Why a header does not identify the columns.
struct ColumnFault: Error, Equatable {
    var role: ColumnRole
    /// Number of columns with the role's name.
    var count: Int

    var sentence: String { "\(count == 0 ? "no column" : "more than one column") is named \(role.noun)" }
}
