import type { ProxyStats } from "../index.js";

/** A label's value in Prometheus' text format. */
function quoted(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
}

function metric(name: string, type: "counter" | "gauge", help: string, samples: readonly [string, number][]): string {
  const lines = samples.map(([labels, value]) => `${name}${labels} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

/** Prometheus' text format. */
export function prometheus(stats: ProxyStats): string {
  const { active, waiting, accepted, refused, bytesIn, bytesOut, ends, backends } = stats;
  const each = (value: (backend: ProxyStats["backends"][number]) => number): [string, number][] =>
    backends.map((backend) => [`{backend=${quoted(backend.name)}}`, value(backend)]);
  return [
    metric("eventmachine_proxy_connections", "gauge", "Clients that are there.", [["", active]]),
    metric("eventmachine_proxy_waiting", "gauge", "Clients that wait for a backend.", [["", waiting]]),
    metric("eventmachine_proxy_connections_total", "counter", "Clients that came.", [["", accepted]]),
    metric("eventmachine_proxy_refused_total", "counter", "Peers closed before they were clients.", [["", refused]]),
    metric("eventmachine_proxy_bytes_total", "counter", "Bytes of connections that have ended.", [
      ['{direction="in"}', bytesIn],
      ['{direction="out"}', bytesOut],
    ]),
    metric(
      "eventmachine_proxy_ends_total",
      "counter",
      "Connections that have ended, by how.",
      Object.entries(ends).map(([end, count]) => [`{end=${quoted(end)}}`, count]),
    ),
    metric(
      "eventmachine_proxy_backend_up",
      "gauge",
      "Whether it is given connections.",
      each(({ state }) => (state === "up" ? 1 : 0)),
    ),
    metric(
      "eventmachine_proxy_backend_connections",
      "gauge",
      "Connections to it.",
      each(({ active }) => active),
    ),
    metric(
      "eventmachine_proxy_backend_opened_total",
      "counter",
      "Connections opened to it.",
      each(({ opened }) => opened),
    ),
    metric(
      "eventmachine_proxy_backend_failed_total",
      "counter",
      "Connects to it that failed.",
      each(({ failed }) => failed),
    ),
  ].join("");
}

/** A page that a person can watch: it asks for the figures every second. */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>eventmachine proxy</title>
<style>
  body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; background: #fff; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: right; padding: .35em .6em; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
  th:first-child, td:first-child { text-align: left; }
  .up { color: #17682b; } .down, .ejected { color: #a11; font-weight: 600; } .removed { color: #666; }
  dl { display: flex; flex-wrap: wrap; gap: 1em 2.5em; } dt { color: #666; } dd { margin: 0; font-size: 1.5em; }
</style>
<h1>Proxy</h1>
<dl id="totals"></dl>
<h2>Backends</h2>
<table><thead><tr><th>Backend<th>State<th>Weight<th>Now<th>Opened<th>Failed<th>Bytes in<th>Bytes out</tr></thead><tbody id="backends"></tbody></table>
<h2>Ends</h2>
<table><tbody id="ends"></tbody></table>
<p id="note" role="status"></p>
<script>
  let last;
  const cell = (row, text, name) => { const td = row.insertCell(); td.textContent = text; if (name) td.className = name; };
  const bytes = (n) => n < 1024 ? n + " B" : n < 1048576 ? (n / 1024).toFixed(1) + " KiB" : (n / 1048576).toFixed(1) + " MiB";
  async function show() {
    try {
      const stats = await (await fetch("stats")).json();
      const now = performance.now();
      const rate = last ? (stats.accepted - last.accepted) / ((now - last.at) / 1000) : 0;
      last = { accepted: stats.accepted, at: now };
      const totals = { Connections: stats.active, Waiting: stats.waiting, "New a second": rate.toFixed(1), Accepted: stats.accepted, Refused: stats.refused, "Bytes in": bytes(stats.bytesIn), "Bytes out": bytes(stats.bytesOut) };
      document.getElementById("totals").replaceChildren(...Object.entries(totals).map(([name, value]) => {
        const div = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
        dt.textContent = name; dd.textContent = value; div.append(dt, dd); return div;
      }));
      const backends = document.getElementById("backends"); backends.replaceChildren();
      for (const b of stats.backends) {
        const row = backends.insertRow();
        cell(row, b.name); cell(row, b.state, b.state);
        for (const value of [b.weight, b.active, b.opened, b.failed, bytes(b.bytesIn), bytes(b.bytesOut)]) cell(row, value);
      }
      const ends = document.getElementById("ends"); ends.replaceChildren();
      for (const [end, count] of Object.entries(stats.ends)) { const row = ends.insertRow(); cell(row, end); cell(row, count); }
      document.getElementById("note").textContent = "";
    } catch (error) { document.getElementById("note").textContent = "No answer: " + error.message; }
  }
  show(); setInterval(show, 1000);
</script>
</html>
`;
