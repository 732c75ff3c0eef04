// A bundle whose files are damaged in place while a server has them: it goes on serving, and says at a reload what is wrong.

import Foundation
import Testing

@Suite(.timeLimit(.minutes(5))) struct ChangedFileTests {
    /// What somebody does to a file of a bundle that is served.
    enum Damage: String, CaseIterable {
        case truncated, emptied, overwritten

        func apply(to path: String) throws {
            switch self {
            case .truncated: #expect(truncate(path, 100) == 0)
            case .emptied: #expect(truncate(path, 0) == 0)
            case .overwritten:
                let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
                defer { try? file.close() }
                let size = try file.seekToEnd()
                try file.seek(toOffset: 0)
                try file.write(contentsOf: Data(repeating: 0xFF, count: Int(size)))
            }
        }
    }

    @Test(arguments: Damage.allCases)
    func damagedBundle_IsServedOn(damage: Damage) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let server = try RunningServer(["--bundle", bundle.path])
            defer { server.stop() }
            let connection = try server.connect()
            let request = "{\"history\":[{\"item\":\"anime-4-01\"},{\"item\":\"anime-4-02\"}],\"k\":50}"
            let before = try connection.recommend(request).items()
            #expect(before.count == 50)
            for name in ["model.safetensors", "catalogue.jsonl", "config.json"] {
                try damage.apply(to: bundle.appendingPathComponent(name).path)
                #expect(try connection.recommend(request).items() == before)
                // A user who was not seen before: all of the item table is gathered from.
                for item in ["anime-1-01", "drama-1-01", "scifi-1-01"] {
                    #expect(try connection.recommend("{\"history\":[{\"item\":\"\(item)\"}]}").status == 200)
                }
                let reply = try connection.post("/admin/reload", "")
                #expect(reply.status == 422)
                let detail = try #require(try reply.json()["detail"] as? String)
                // The configuration is read first, then the weights, then the catalogue.
                let named = name == "catalogue.jsonl" ? "model.safetensors" : name
                #expect(detail.contains(named), "\(detail)")
                #expect(try connection.recommend(request).items() == before)
                #expect(try connection.get("/health/ready").status == 200)
            }
        }
    }
}
