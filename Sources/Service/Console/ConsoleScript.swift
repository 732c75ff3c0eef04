// The script of the console page. It shows the changes between two readings of /metrics, so that an idle server shows
// nothing instead of the average since its start. Everything from the server is set as text, never as markup.

extension ConsolePage {
    static let script = #"""
        "use strict";
        // A block scope, because names such as top and history belong to the window.
        {
        const element = id => document.getElementById(id);
        const period = 2000, kept = 450;

        const make = (name, attributes = {}, ...children) => {
          const node = document.createElement(name);
          for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
          node.append(...children);
          return node;
        };
        const draw = (name, attributes = {}, text) => {
          const node = document.createElementNS(element("shapes").namespaceURI, name);
          for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
          if (text !== undefined) node.textContent = text;
          return node;
        };
        const headers = more => {
          const key = element("key").value;
          return key ? { ...more, Authorization: "Bearer " + key } : more;
        };
        const number = value => {
          if (!Number.isFinite(value)) return "–";
          if (value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3)) return value.toExponential(1);
          return String(Number(value.toPrecision(3)));
        };
        const units = {
          count: number,
          ms: value => Number.isFinite(value) ? number(value) + " ms" : "–",
          share: value => Number.isFinite(value) ? number(100 * value) + " %" : "–",
          bytes: value => {
            if (!Number.isFinite(value)) return "–";
            const names = ["B", "KiB", "MiB", "GiB", "TiB"];
            let power = 0;
            while (value >= 1024 && power < 4) { value /= 1024; power += 1; }
            return number(value) + " " + names[power];
          },
        };

        // ---- /metrics: changes between two readings.

        const parse = text => {
          const samples = new Map();
          for (const line of text.split("\n")) {
            const space = line.lastIndexOf(" ");
            if (line && line[0] !== "#") samples.set(line.slice(0, space), Number(line.slice(space + 1)));
          }
          return samples;
        };
        const family = name => name.replace(/\{.*/, "");
        const label = (name, key) => new RegExp("[{,]" + key + "=\"([^\"]*)\"").exec(name)?.[1];
        const sum = (samples, name, filter = () => true) => {
          let total = 0;
          for (const [key, value] of samples) if (family(key) === name && filter(key)) total += value;
          return total;
        };
        const groups = (samples, name, key) => {
          const found = new Map();
          for (const [sample, value] of samples) {
            if (family(sample) === name) found.set(label(sample, key), (found.get(label(sample, key)) ?? 0) + value);
          }
          return found;
        };
        // Interpolates linearly within the bucket, as Prometheus does.
        const quantile = (now, before, name, share, filter = () => true) => {
          const buckets = new Map();
          for (const [key, value] of now) {
            if (family(key) !== name + "_bucket" || !filter(key)) continue;
            const text = label(key, "le"), bound = text === "+Inf" ? Infinity : Number(text);
            buckets.set(bound, (buckets.get(bound) ?? 0) + value - (before.get(key) ?? 0));
          }
          const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
          const count = sorted.length ? sorted[sorted.length - 1][1] : 0;
          if (!(count > 0)) return NaN;
          let low = 0, seen = 0;
          for (const [bound, value] of sorted) {
            if (value >= share * count) {
              return bound === Infinity ? low : low + (bound - low) * (share * count - seen) / Math.max(value - seen, 1e-12);
            }
            low = bound; seen = value;
          }
          return NaN;
        };

        const recommends = key => label(key, "route") === "/recommend";
        const charts = [
          { title: "Recommendations per second", unit: "count", read: (now, before, seconds) => {
            const old = groups(before, "genrec_recommend_outcomes_total", "outcome");
            const values = {};
            for (const [outcome, value] of groups(now, "genrec_recommend_outcomes_total", "outcome")) {
              values[outcome] = Math.max(0, value - (old.get(outcome) ?? 0)) / seconds;
            }
            return values;
          } },
          { title: "Latency of /recommend", unit: "ms", read: (now, before) => ({
            p50: 1000 * quantile(now, before, "genrec_http_request_duration_seconds", .5, recommends),
            p99: 1000 * quantile(now, before, "genrec_http_request_duration_seconds", .99, recommends),
          }) },
          { title: "Queue wait", unit: "ms", read: (now, before) => ({
            p50: 1000 * quantile(now, before, "genrec_queue_wait_seconds", .5),
            p99: 1000 * quantile(now, before, "genrec_queue_wait_seconds", .99),
          }) },
          { title: "Requests per batch", unit: "count", read: (now, before) => {
            const grew = name => sum(now, name) - sum(before, name);
            return { mean: grew("genrec_batch_size_sum") / grew("genrec_batch_size_count"), waiting: sum(now, "genrec_queue_depth") };
          } },
          { title: "Requests with a cached user", unit: "share", top: 1, read: (now, before) => {
            const grew = name => sum(now, name) - sum(before, name);
            const whole = grew("genrec_user_cache_hits_total"), part = grew("genrec_user_cache_partial_hits_total");
            const all = whole + part + grew("genrec_user_cache_misses_total");
            return { "full hits": whole / all, "partial hits": part / all };
          } },
          { title: "Memory", unit: "bytes", read: now => ({
            process: sum(now, "process_resident_memory_bytes"),
            ...Object.fromEntries(groups(now, "genrec_device_memory_bytes", "kind")),
            "users' state": sum(now, "genrec_user_cache_bytes"),
          }) },
        ].map((chart, index) => ({ ...chart, index, points: [], names: [], cursor: null, table: false }));

        const height = 190, left = 62, right = 8, top = 10, bottom = 24;
        // In pixels, so that text has the same size on every screen.
        const widthOf = chart => Math.max(220, chart.svg.clientWidth || 600);
        // The time axis spans all points, from 1 to 15 minutes.
        const spanOf = chart => Math.min(kept * period, Math.max(60000, Date.now() - (chart.points[0]?.at ?? Date.now())));
        const nice = value => {
          if (!(value > 0)) return 1;
          const power = 10 ** Math.floor(Math.log10(value));
          return [1, 2, 5, 10].find(step => step * power >= value) * power;
        };
        const ago = seconds => seconds < 1 ? "now" : seconds < 90 ? Math.round(seconds) + " s ago" : Math.round(seconds / 60) + " min ago";

        for (const chart of charts) {
          const button = make("button", { type: "button", "aria-pressed": "false" }, "Table");
          chart.svg = draw("svg", { role: "img", tabindex: "0" });
          chart.legend = make("ul", { class: "legend" });
          chart.values = make("div", { class: "wide", hidden: "" });
          chart.figure = make("figure", {}, make("figcaption", {}, make("h3", {}, chart.title), button), chart.svg, chart.values, chart.legend);
          button.addEventListener("click", () => {
            chart.table = !chart.table;
            button.setAttribute("aria-pressed", chart.table);
            show(chart);
          });
          chart.svg.addEventListener("pointermove", event => {
            const box = chart.svg.getBoundingClientRect();
            const at = Date.now() - (box.right - right - event.clientX) / (box.width - left - right) * spanOf(chart);
            chart.cursor = chart.points.reduce((best, point, i) =>
              Math.abs(point.at - at) < Math.abs((chart.points[best]?.at ?? -Infinity) - at) ? i : best, 0);
            show(chart);
          });
          chart.svg.addEventListener("pointerleave", () => { chart.cursor = null; show(chart); });
          chart.svg.addEventListener("blur", () => { chart.cursor = null; show(chart); });
          chart.svg.addEventListener("keydown", event => {
            const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (!step || !chart.points.length) return;
            event.preventDefault();
            chart.cursor = Math.min(chart.points.length - 1, Math.max(0, (chart.cursor ?? chart.points.length) + step));
            show(chart);
          });
          element("charts").append(chart.figure);
        }

        const show = chart => {
          const unit = units[chart.unit], now = Date.now(), width = widthOf(chart), span = spanOf(chart);
          chart.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
          const all = chart.points.flatMap(point => Object.values(point.values)).filter(Number.isFinite);
          const most = chart.top ?? nice(Math.max(0, ...all));
          const x = at => width - right - (now - at) / span * (width - left - right);
          const y = value => height - bottom - value / most * (height - top - bottom);
          const parts = [];
          for (const share of [0, .5, 1]) {
            parts.push(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(share * most), y2: y(share * most) }));
            parts.push(draw("text", { x: left - 6, y: y(share * most) + 4, "text-anchor": "end" }, unit(share * most)));
          }
          for (const share of [1, .5, 0]) {
            const past = Math.round(share * span / 1000);
            parts.push(draw("text", { x: x(now - share * span), y: height - 6, "text-anchor": ["end", "middle", "start"][share * 2] },
              share === 0 ? "now" : "−" + (past < 120 ? past + " s" : number(past / 60) + " min")));
          }
          chart.names.forEach((name, i) => {
            let path = "", open = false;
            for (const point of chart.points) {
              const value = point.values[name];
              if (!Number.isFinite(value)) { open = false; continue; }
              path += (open ? "L" : "M") + x(point.at).toFixed(1) + " " + y(Math.min(value, most)).toFixed(1)
                + (open ? "" : "h.01");
              open = true;
            }
            parts.push(draw("path", { class: "s c" + i % 9, d: path }));
          });
          const point = chart.points[chart.cursor ?? chart.points.length - 1];
          if (chart.cursor !== null && point) {
            parts.push(draw("line", { class: "cursor", x1: x(point.at), x2: x(point.at), y1: top, y2: height - bottom }));
          }
          if (!all.length) parts.push(draw("text", { x: (left + width) / 2, y: height / 2, "text-anchor": "middle" }, "nothing yet"));
          chart.svg.replaceChildren(...parts);
          const texts = chart.names.map(name => name + " " + unit(point?.values[name]));
          chart.svg.setAttribute("aria-label", `${chart.title}, ${point ? ago((now - point.at) / 1000) : "nothing yet"}: ${texts.join(", ")}`);
          chart.legend.replaceChildren(...chart.names.map((name, i) => {
            const key = draw("svg", { viewBox: "0 0 28 8", "aria-hidden": "true" });
            key.append(draw("path", { class: "s c" + i % 9, d: "M0 4H28" }));
            return make("li", {}, key, texts[i]);
          }), ...(chart.cursor !== null && point ? [make("li", { class: "hint" }, ago((now - point.at) / 1000))] : []));
          chart.svg.style.display = chart.table ? "none" : "";
          chart.values.hidden = !chart.table;
          if (chart.table) {
            const rows = chart.points.slice(-10).reverse();
            chart.values.replaceChildren(make("table", {},
              make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "when"), ...chart.names.map(name => make("th", { scope: "col" }, name)))),
              make("tbody", {}, ...rows.map(row => make("tr", {}, make("td", {}, ago((now - row.at) / 1000)),
                ...chart.names.map(name => make("td", {}, unit(row.values[name]))))))));
          }
        };

        // ---- State, models, metrics.

        const fail = text => {
          element("fault").hidden = !text;
          if (element("fault").textContent !== text) element("fault").textContent = text;
        };
        const refusal = (path, status) => path + " answers " + status + ({
          401: ": enter an API key at the top of this page",
          403: ": the key does not permit this; without keys it answers only on this machine (see http.hosts)",
          404: ": it may be on the admin listener",
        }[status] ?? "");
        const get = (path, accept) => fetch(path, { headers: headers({ Accept: accept }), cache: "no-store" });

        const state = (text, kind) => {
          if (element("state").textContent !== text) element("state").textContent = text;
          element("state").className = kind;
        };
        const readState = async () => {
          const reply = await get("health/ready", "application/json");
          if (reply.ok) return state("● ready", "good");
          const reasons = (await reply.json().catch(() => ({}))).reasons ?? ["status " + reply.status];
          state("▲ not ready: " + reasons.join("; "), "bad");
        };

        const readModels = async () => {
          const reply = await get("models", "application/json");
          const body = element("models");
          if (!reply.ok) return body.replaceChildren(make("tbody", {}, make("tr", {}, make("td", {}, refusal("/models", reply.status)))));
          const models = (await reply.json()).models ?? [];
          model = models[0]?.name ?? null;
          hasPaths = models.length > 0 && models.every(model => model.semantic_ids);
          element("beams-label").hidden = !hasPaths;
          const columns = [
            ["name", model => model.name], ["version", model => model.version], ["state", model => model.state],
            ["share", model => model.share === undefined ? "all" : model.share + " %"],
            ["architecture", model => model.architecture], ["parameters", model => model.parameters?.toLocaleString("en")],
            ["items", model => model.catalogue_size?.toLocaleString("en")], ["window", model => model.window],
            ["device", model => [model.device, model.dtype].filter(Boolean).join(", ")],
          ];
          body.replaceChildren(
            make("thead", {}, make("tr", {}, ...columns.map(([name]) => make("th", { scope: "col" }, name)))),
            make("tbody", {}, ...models.map(model => make("tr", {}, ...columns.map(([, value]) => make("td", {}, String(value(model) ?? "–")))))));
        };

        let last = null;
        const readMetrics = async () => {
          const reply = await get("metrics", "text/plain");
          if (!reply.ok) { last = null; return fail(refusal("/metrics", reply.status)); }
          fail("");
          const reading = { at: Date.now(), samples: parse(await reply.text()) };
          const before = last;
          last = reading;
          if (!before) return;
          for (const chart of charts) {
            const values = chart.read(reading.samples, before.samples, (reading.at - before.at) / 1000);
            // Leave out series that have always been 0, such as outcomes that do not occur.
            for (const [name, value] of Object.entries(values)) {
              if (value > 0 && !chart.names.includes(name)) chart.names.push(name);
            }
            chart.points.push({ at: reading.at, values });
            if (chart.points.length > kept) { chart.points.shift(); if (chart.cursor) chart.cursor -= 1; }
          }
        };

        let turns = 0;
        const turn = async () => {
          try {
            await readState();
            if (turns % 5 === 0) await readModels();
            turns += 1;
            await readMetrics();
          } catch (error) {
            last = null;
            state("▲ the server does not answer", "bad");
          }
          for (const chart of charts) show(chart);
        };
        const loop = async () => {
          if (!document.hidden) await turn();
          setTimeout(loop, period);
        };

        // ---- Try it.

        let history = [];
        // Titles by item id, from searches, to show in lists.
        const titles = new Map();
        const named = item => titles.has(String(item)) ? titles.get(String(item)) + " · " + item : String(item);
        // Catalogues with integer ids accept only numbers; replies show which kind the catalogue has.
        let hasNumbers = false;
        // With a user store, the server can keep the user's history; items are then sent as events.
        const keeps = () => element("kept").checked && element("user").value !== "";
        // Whether the models search for items with beams.
        let hasPaths = false;
        const candidates = () => element("candidates").value.split(",").map(item => item.trim()).filter(Boolean)
          .map(item => hasNumbers ? Number(item) : item);
        // Named candidates are ranked; without them, the whole catalogue is.
        const route = () => candidates().length ? "rank" : "recommend";
        const request = () => {
          const body = {
            ...(keeps() ? {} : { history: { items: history } }),
            k: Number(element("k").value) || 10,
          };
          if (element("user").value) body.user_id = element("user").value;
          if (route() === "rank") return { ...body, candidates: candidates() };
          body.mode = element("mode").value;
          if (hasPaths && element("beams").value) body.beams = Number(element("beams").value);
          if (hasPaths) body.include = ["exact"];
          const tags = element("tags").value.split(",").map(tag => tag.trim()).filter(Boolean);
          if (tags.length || !element("seen").checked) {
            body.exclude = { ...(tags.length ? { tags } : {}), seen: element("seen").checked };
          }
          if (element("why").checked) body.explain = true;
          return body;
        };
        const quoted = text => "'" + text.replaceAll("'", "'\\''") + "'";
        const showRequest = () => {
          element("history").replaceChildren(...history.map((item, index) => {
            const remove = make("button", { type: "button", "aria-label": "Remove " + item }, "×");
            remove.addEventListener("click", () => { history.splice(index, 1); showRequest(); element("item").focus(); });
            return keeps() ? make("li", {}, named(item)) : make("li", {}, named(item), remove);
          }));
          element("no-history").hidden = history.length > 0;
          element("curl").textContent = "curl -s " + quoted(new URL(route(), location.href).href)
            + " -H 'Content-Type: application/json'" + (element("key").value ? " -H \"Authorization: Bearer $KEY\"" : "")
            + " \\\n  -d " + quoted(JSON.stringify(request()));
        };
        // Shows the history that the server keeps instead of the page's own.
        const readUser = async () => {
          if (!keeps()) return showRequest();
          const path = "users/" + encodeURIComponent(element("user").value);
          const reply = await get(path, "application/json").catch(() => ({ status: 0 }));
          history = reply.status === 200 ? (await reply.json()).events.map(event => event.item) : [];
          if (reply.status !== 200 && reply.status !== 404) element("status").textContent = refusal("/" + path, reply.status);
          showRequest();
        };
        const keep = async item => {
          const reply = await fetch("events", {
            method: "POST",
            headers: headers({ "Content-Type": "application/json", Accept: "application/json" }),
            body: JSON.stringify({ events: [{ user_id: element("user").value, item }] }),
          }).catch(() => ({ status: 0 }));
          if (reply.status !== 200) element("status").textContent = refusal("/events", reply.status);
          await readUser();
        };
        const add = async item => {
          if (!item) return;
          element("item").value = "";
          showFound([]);
          const id = hasNumbers ? Number(item) : item;
          if (keeps()) return keep(id);
          history.push(id);
          showRequest();
        };
        const addTyped = () => add(element("item").value.trim());

        // ---- Items by title, from the catalogue of the model that answers.

        let model = null, searches = 0, found = [], chosen = -1;
        const showFound = items => {
          found = items;
          chosen = -1;
          element("found").hidden = !items.length;
          element("item").setAttribute("aria-expanded", items.length > 0);
          element("item").removeAttribute("aria-activedescendant");
          element("found").replaceChildren(...items.map((item, index) => {
            const option = make("li", { role: "option", id: "found-" + index, "aria-selected": "false" }, named(item.item));
            // On pointerdown, because the field loses the focus before a click.
            option.addEventListener("pointerdown", event => { event.preventDefault(); add(item.item); });
            return option;
          }));
        };
        const choose = index => {
          if (!found.length) return;
          chosen = (index + found.length) % found.length;
          for (const [place, option] of [...element("found").children].entries()) option.setAttribute("aria-selected", place === chosen);
          element("found").children[chosen].scrollIntoView({ block: "nearest" });
          element("item").setAttribute("aria-activedescendant", "found-" + chosen);
        };
        const remember = items => { for (const item of items) if (item.title) titles.set(String(item.item), item.title); };
        const catalogue = async rest => {
          if (!model) return null;
          const reply = await get("admin/catalogue/" + encodeURIComponent(model) + rest, "application/json");
          return reply.ok ? reply.json() : null;
        };
        const search = async () => {
          const text = element("item").value.trim(), turn = ++searches;
          if (!text) return showFound([]);
          const reply = await catalogue("?limit=8&q=" + encodeURIComponent(text)).catch(() => null);
          // A later keystroke has started another search.
          if (turn !== searches) return;
          remember(reply?.items ?? []);
          showFound(reply?.items ?? []);
        };
        // Reads the titles of an answer's items. Without the right to read the catalogue, only ids are shown.
        const readTitles = async items => {
          const missing = items.filter(item => !titles.has(String(item))).slice(0, 20);
          const records = await Promise.all(missing.map(item => catalogue("/" + encodeURIComponent(item)).catch(() => null)));
          remember(records.filter(Boolean));
          return records.some(record => record?.title);
        };
        const meanings = {
          400: "The request is malformed.", 401: "An API key is required: enter it at the top.", 403: "The key, or this page's origin, is not permitted.",
          404: "No such route or model on this listener.", 422: "A value cannot be used.", 429: "The server is overloaded and did not compute the request.",
          503: "The server is loading, is draining, or has no device.", 504: "The deadline passed.",
        };
        const showAnswer = (status, reply) => {
          const answer = element("answer");
          if (status !== 200) {
            return answer.replaceChildren(make("p", { class: "bad", role: "alert" }, (meanings[status] ?? "Status " + status + ".") + " " + (reply.detail ?? "")));
          }
          const items = reply.items ?? [];
          hasNumbers = items.length ? typeof items[0].item === "number" : hasNumbers;
          const most = Math.max(...items.map(item => item.score), 1e-9), least = Math.min(...items.map(item => item.score), 0);
          const notes = [
            reply.source === "popularity" ? "By popularity: the history is empty or none of its items is in the catalogue."
              : `By ${reply.model?.name} ${reply.model?.version}, from ${reply.history_used} events (${reply.history_cached} already computed).`,
          ];
          if (reply.unknown_items) notes.push(`${reply.unknown_items} of the history's items are not in the catalogue and were skipped.`);
          if (reply.exhausted) notes.push(`Only ${items.length} items are eligible under the filters.`);
          if (reply.removed) notes.push("Left out: " + Object.entries(reply.removed).map(([why, count]) => why.replaceAll("_", " ") + " " + count).join(", ") + ".");
          if (reply.unknown_candidates) notes.push(`${reply.unknown_candidates} of the candidates are not in the catalogue.`);
          if (reply.beams !== undefined) {
            notes.push(`Followed ${reply.beams} paths after ${reply.prompt_tokens} prompt tokens (${reply.tokens_cached} already computed). `
              + (reply.exact === undefined ? "" : reply.exact ? "No other item can be better." : "More beams might find better items."));
          }
          const timing = reply.timing_ms ?? {};
          notes.push("Time: " + ["queue", "prefill", "decode", "score", "total"].filter(part => part in timing).map(part => part + " " + units.ms(timing[part])).join(", ") + ".");
          const list = make("ol", {}, ...items.map(item => {
            const bar = make("span", { class: "bar", "aria-hidden": "true" });
            bar.style.width = (.2 + 5 * (item.score - least) / (most - least || 1)).toFixed(2) + "rem";
            const more = make("button", { type: "button", "aria-label": "Add " + item.item + " to the history" }, "+");
            more.addEventListener("click", async () => { await add(item.item); send(); });
            const parts = [make("span", { class: "track" }, bar), named(item.item), " ", make("span", { class: "score" }, number(item.score)), " ", more];
            if (item.explanation) {
              const events = item.explanation.slice(0, 3).map(event => `${named(event.item)} (${event.effect < 0 ? "" : "+"}${number(event.effect)})`);
              parts.push(make("p", { class: "hint why" }, events.length ? "Raised by " + events.join(", ") : "No event of the history raises it."));
            }
            return make("li", {}, ...parts);
          }));
          answer.replaceChildren(list, ...notes.map(note => make("p", { class: "hint" }, note)));
        };
        let answers = 0;
        const send = async () => {
          element("status").textContent = "waiting …";
          const start = performance.now();
          try {
            const reply = await fetch(route(), {
              method: "POST",
              headers: headers({ "Content-Type": "application/json", Accept: "*/*" }),
              body: JSON.stringify(request()),
            });
            const text = await reply.text();
            element("status").textContent = reply.status + " in " + number(performance.now() - start) + " ms";
            let object = {};
            try { object = JSON.parse(text); } catch { object = { detail: text }; }
            element("reply").textContent = JSON.stringify(object, null, 2);
            showAnswer(reply.status, object);
            const shown = answers += 1;
            const items = (object.items ?? []).map(item => item.item);
            if (await readTitles([...items, ...history]) && shown === answers) { showAnswer(reply.status, object); showRequest(); }
          } catch (error) {
            element("status").textContent = "";
            showAnswer(0, { detail: "The server does not answer." });
          }
        };
        element("add").addEventListener("click", addTyped);
        let typing = 0;
        element("item").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 120); });
        element("item").addEventListener("blur", () => showFound([]));
        element("item").addEventListener("keydown", event => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step && found.length) choose(chosen < 0 && step < 0 ? -1 : chosen + step);
          else if (event.key === "Escape" && found.length) showFound([]);
          else if (event.key === "Enter") { if (chosen >= 0) add(found[chosen].item); else addTyped(); }
          else return;
          event.preventDefault();
        });
        element("example").addEventListener("click", async () => {
          // Popular items serve as a history: this works with any catalogue.
          element("kept").checked = false;
          element("candidates").value = "";
          history = [];
          showRequest();
          await send();
          const items = JSON.parse(element("reply").textContent).items ?? [];
          history = items.slice(0, 3).map(item => item.item);
          showRequest();
        });
        element("clear").addEventListener("click", () => {
          // The stored history is not deleted.
          element("kept").checked = false;
          history = [];
          showRequest();
          element("answer").replaceChildren();
        });
        element("form").addEventListener("submit", async event => { event.preventDefault(); await addTyped(); send(); });
        for (const id of ["user", "kept"]) element(id).addEventListener("change", readUser);
        get("openapi.json", "application/json").then(reply => reply.json())
          .then(contract => { element("kept-label").hidden = !contract.paths?.["/events"]; }).catch(() => {});
        for (const id of ["k", "mode", "tags", "user", "seen", "why", "key", "beams", "candidates"]) element(id).addEventListener("input", showRequest);
        showRequest();
        loop();
        }
        """#
}
