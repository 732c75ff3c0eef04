// The settings as documents: the commented file of defaults, and the tables of the page Settings.

extension ServiceConfiguration {
    /// `Config/genrec.yaml`: every setting at its default, preceded by its help.
    package static var defaultsAsYAML: String {
        var text = """
            # The settings of `genrec serve --config Config/genrec.yaml`, each at its default.
            #
            # Command-line options override environment variables (GENREC_HTTP_LISTEN for http.listen), which override this file.
            # An unknown key or a value out of range is an error; `genrec check-config FILE` reports all of them.
            # `genrec check-config --defaults` prints this file.

            """
        let defaults = ServiceConfiguration()
        var sections: [Substring] = []
        for setting in settings {
            let parts = setting.key.split(separator: ".")
            let name = parts[parts.count - 1]
            let indent = String(repeating: "  ", count: parts.count - 1)
            if parts.count == 1 || parts[0] != sections.first { text += "\n" }
            if setting.key == fleetSettings.first?.key { text += fleetExample + "\n" }
            let open = zip(parts.dropLast(), sections).prefix { $0 == $1 }.count
            for (depth, section) in parts.dropLast().enumerated().dropFirst(open) {
                text += "\(String(repeating: "  ", count: depth))\(section):\n"
            }
            sections = Array(parts.dropLast())
            var help = setting.help
            if Int(setting.text(defaults)) != nil { help += " (\(setting.allowed))" }
            for line in wrapped(help, width: 120 - indent.count - 2) { text += "\(indent)# \(line)\n" }
            let value = setting.text(defaults)
            // YAML would take text that ends with a colon for a key.
            let isQuoted = value.isEmpty || value.hasSuffix(":")
            text += "\(indent)\(name): \(isQuoted ? "\"\(value)\"" : value)\n"
        }
        return text
    }

    /// The page Settings in Markdown: one table per section, generated from the declarations.
    package static var settingsPage: String {
        var text = """
            # Settings

            What an operator can set: in the file given with `--config`, by environment variables, or by options of \
            `genrec serve`.

            ## Overview

            Command-line options override environment variables, which override the file. The variable of \
            `http.listen` is `GENREC_HTTP_LISTEN`. `Config/genrec.yaml` documents each setting at length; `genrec \
            check-config FILE` checks a file together with the environment, the bundles, keys and certificates.

            `models` and `routing` are structured and can only be set in the file; see <doc:Operations>.

            """
        let defaults = ServiceConfiguration()
        var section: Substring?
        for setting in settings {
            let parts = setting.key.split(separator: ".", maxSplits: 1)
            let own = parts.count > 1 ? parts[0] : "general"
            if own != section {
                section = own
                text += "\n## \(own)\n\n| setting | default | allowed | option |\n| --- | --- | --- | --- |\n"
            }
            let value = setting.text(defaults)
            let option = Setting.options[setting.key].map { "`\($0)`" } ?? ""
            text += "| `\(setting.key)` | \(value.isEmpty ? "none" : "`\(value)`") | \(setting.allowed) | \(option) |\n"
        }
        return text
    }

    /// Text wrapped between words into lines of at most `width` characters; its own line breaks stay.
    private static func wrapped(_ text: String, width: Int) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { paragraph -> [String] in
            guard !paragraph.hasPrefix(" ") else { return [String(paragraph)] }
            var lines = [""]
            for word in paragraph.split(separator: " ") {
                if lines[lines.count - 1].isEmpty {
                    lines[lines.count - 1] = String(word)
                } else if lines[lines.count - 1].count + 1 + word.count <= width {
                    lines[lines.count - 1] += " " + word
                } else {
                    lines.append(String(word))
                }
            }
            return lines
        }
    }
}
