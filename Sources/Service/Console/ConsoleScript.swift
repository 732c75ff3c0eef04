// The script of the console page. It shows what /metrics says about the time between two readings, so that an idle server
// shows nothing and not the average of its life. Everything that a server says is set as text, never as markup.

extension ConsolePage {
    static let script = """
        "use strict";
        const element = id => document.getElementById(id);
        const period = 2000, kept = 90;
        const rates = [];
        let last = null;

        const headers = more => {
          const key = element("key").value;
          return key ? { ...more, Authorization: "Bearer " + key } : more;
        };

        // {"name{labels}": value} of a page in Prometheus' text format.
        const parse = text => {
          const samples = new Map();
          for (const line of text.split("\\n")) {
            const space = line.lastIndexOf(" ");
            if (line && line[0] !== "#") samples.set(line.slice(0, space), Number(line.slice(space + 1)));
          }
          return samples;
        };

        const sum = (samples, prefix) => {
          let total = 0;
          for (const [name, value] of samples) if (name.startsWith(prefix)) total += value;
          return total;
        };

        // How much what begins with a prefix has grown since the last reading.
        const growth = (now, before, prefix) => Math.max(0, sum(now, prefix) - sum(before, prefix));

        // The bound under which a share of the last period's observations lies; NaN if there were none.
        const quantile = (now, before, prefix, share) => {
          const buckets = [];
          for (const [name, value] of now) {
            if (!name.startsWith(prefix)) continue;
            const bound = /le="([^"]+)"/.exec(name)[1];
            buckets.push([bound === "+Inf" ? Infinity : Number(bound), value - (before.get(name) ?? 0)]);
          }
          buckets.sort((a, b) => a[0] - b[0]);
          const count = buckets.length ? buckets[buckets.length - 1][1] : 0;
          if (!count) return NaN;
          return buckets.find(bucket => bucket[1] >= share * count)[0];
        };

        const number = value => Number.isFinite(value) ? value.toPrecision(3).replace(/\\.?0+$/, "") : "–";
        const bound = seconds =>
          seconds === Infinity ? "> 10 s" : Number.isFinite(seconds) ? "≤ " + number(seconds * 1000) + " ms" : "–";
        const share = (part, whole) => whole ? number(100 * part / whole) + " %" : "–";

        const show = figures => element("figures").replaceChildren(...figures.map(([name, value]) => {
          const figure = document.createElement("div");
          figure.className = "figure";
          const text = document.createElement("b");
          text.textContent = value;
          const label = document.createElement("span");
          label.textContent = name;
          figure.append(text, label);
          return figure;
        }));

        const draw = () => {
          const top = Math.max(1, ...rates);
          const points = rates.map((rate, i) => (600 * i / (kept - 1)) + "," + (116 - 112 * rate / top));
          element("chart").firstElementChild.setAttribute("points", points.join(" "));
          element("scale").textContent = "the last three minutes; highest " + number(top);
        };

        const fail = text => {
          element("fault").hidden = !text;
          element("fault").textContent = text;
        };

        const read = async () => {
          try {
            const reply = await fetch("metrics", { headers: headers({ Accept: "text/plain" }), cache: "no-store" });
            if (!reply.ok) {
              last = null;
              return fail("/metrics answers " + reply.status
                + (reply.status === 404 ? ": it is on the admin listener" : "")
                + (reply.status === 403 ? ": without API keys it answers only on this machine (see http.hosts)" : ""));
            }
            fail("");
            const now = { at: performance.now(), samples: parse(await reply.text()) };
            const before = last;
            last = now;
            for (const name of now.samples.keys()) {
              const info = /^genrec_model_info\\{name="(.*?)",version="(.*?)",architecture="(.*?)",device="(.*?)"/.exec(name);
              if (info) element("model").textContent = info[1] + " " + info[2] + ", " + info[3] + " on " + info[4];
            }
            if (!before) return;
            const seconds = (now.at - before.at) / 1000;
            const grew = prefix => growth(now.samples, before.samples, prefix);
            const latency = part => quantile(now.samples, before.samples,
              'genrec_http_request_duration_seconds_bucket{route="/recommend",', part);
            const rate = grew('genrec_http_requests_total{route="/recommend"') / seconds;
            const hits = grew("genrec_user_cache_hits_total") + grew("genrec_user_cache_partial_hits_total");
            const misses = grew("genrec_user_cache_misses_total");
            rates.push(rate);
            if (rates.length > kept) rates.shift();
            show([
              ["requests a second", number(rate)],
              ["median latency", bound(latency(0.5))],
              ["99 % latency", bound(latency(0.99))],
              ["requests in a batch", number(grew("genrec_batch_size_sum") / grew("genrec_batch_size_count"))],
              ["cache hits", share(hits, hits + misses)],
              ["waiting", number(sum(now.samples, "genrec_queue_depth"))],
              ["connections", number(sum(now.samples, "genrec_http_connections"))],
            ]);
            draw();
          } catch (error) {
            last = null;
            fail("the server does not answer");
          }
        };

        element("form").addEventListener("submit", async event => {
          event.preventDefault();
          element("status").textContent = "…";
          const start = performance.now();
          try {
            const reply = await fetch("recommend", {
              method: "POST",
              headers: headers({ "Content-Type": "application/json", Accept: "*/*" }),
              body: element("body").value,
            });
            const text = await reply.text();
            element("status").textContent = reply.status + " in " + number(performance.now() - start) + " ms";
            try {
              element("reply").textContent = JSON.stringify(JSON.parse(text), null, 2);
            } catch {
              element("reply").textContent = text;
            }
          } catch (error) {
            element("status").textContent = "the server does not answer";
          }
        });

        read();
        setInterval(() => { if (!document.hidden) read(); }, period);
        """
}
