// The rows of the table. Each names what it measures, against which yardstick, and the ratio we mean to stay under.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { costPerIdleConnection, costPerIdleDatagramSocket } from "./idle_memory.mjs";
import { pairOfCommands, pairOfServers } from "./measure.mjs";
import { server, TLS_SERVERS } from "./servers.mjs";

const timersScript = fileURLToPath(new URL("timers.mjs", import.meta.url));
const bridgesScript = fileURLToPath(new URL("bridges.mjs", import.meta.url));
const toolboxScript = fileURLToPath(new URL("toolbox.mjs", import.meta.url));

// Long enough for about half a second in the C loop, short enough for nine pairs of each row in a few minutes.
const loads = {
  "64b": { title: "64 B x 64", connections: 64, warmup: 50_000, messages: 100_000 },
  pipelined: { title: "16 pipelined x 64", connections: 64, depth: 16, warmup: 640_000, messages: 1_600_000 },
  "64b-1000": { title: "64 B x 1000", connections: 1000, warmup: 50_000, messages: 100_000 },
  "16k": { title: "16 KiB x 64", connections: 64, size: 16_384, warmup: 30_000, messages: 60_000 },
  churn: { title: "churn", mode: "churn", connections: 64, warmup: 10_000, messages: 20_000 },
  "ping-pong": { title: "ping-pong x 1", connections: 1, warmup: 10_000, messages: 20_000 },
};
const linesLoad = { ...loads.pipelined, title: "lines", lines: true, warmup: 160_000, messages: 320_000 };

const tlsLoads = {
  "tls-64b": { title: "TLS, 64 B x 64", connections: 64, warmup: 30_000, messages: 60_000 },
  "tls-16k": { title: "TLS, 16 KiB x 64", connections: 64, size: 16_384, warmup: 15_000, messages: 30_000 },
  "tls-handshakes": { title: "TLS, handshakes", mode: "churn", connections: 64, warmup: 1_000, messages: 2_000 },
  "tls-resumed": {
    title: "TLS, resumed",
    mode: "churn",
    resume: true,
    connections: 64,
    warmup: 1_000,
    messages: 2_000,
  },
};

const goals = { "64b": 1.08, pipelined: 1.1, "64b-1000": 1.1, "16k": 1.35, churn: 1.08 };

function scaled(load, quick) {
  if (!quick) return load;
  return { ...load, warmup: Math.round(load.warmup / 4), messages: Math.round(load.messages / 4) };
}

function echoComparison(title, load, subject, yardstick, goal, quick) {
  const measured = scaled(load, quick);
  return {
    title,
    subject: server(subject),
    yardstick: server(yardstick),
    goal,
    unit: "µs",
    measurePair: () => pairOfServers(subject, yardstick, measured),
  };
}

function echoRow(id) {
  const load = loads[id];
  return ({ peers, quick }) =>
    peers.flatMap((peer) => {
      const goal = peer === "native" ? goals[id] : undefined;
      const plain = echoComparison(load.title, load, peer, "c", goal, quick);
      if (id !== "16k" || peer !== "native") return [plain];
      return [echoComparison(load.title, load, "native-borrowed", "c", 1.1, quick), plain];
    });
}

const tlsPeers = (peers) => peers.filter((peer) => TLS_SERVERS.includes(peer)).map((peer) => `tls-${peer}`);

function tlsRow(id) {
  const load = { ...tlsLoads[id], kind: "tls" };
  return ({ peers, quick }) =>
    tlsPeers(peers).flatMap((peer) => {
      const goal = peer === "tls-native" ? 1.1 : undefined;
      const plain = echoComparison(load.title, load, peer, "tls-c", goal, quick);
      if (id !== "tls-16k" || peer !== "tls-native") return [plain];
      // The copies for the program to keep are the program's choice: what TLS costs shows where there are none.
      return [
        echoComparison(load.title, load, "tls-native-borrowed", "tls-c", goal, quick),
        { ...plain, goal: undefined },
      ];
    });
}

const datagramLoads = {
  "udp-64": { title: "UDP, 64 B x 64", connections: 64, warmup: 50_000, messages: 100_000 },
  "udp-window": { title: "UDP, window 8 x 16", connections: 16, depth: 8, warmup: 100_000, messages: 200_000 },
};

function datagramRow(id) {
  const load = { ...datagramLoads[id], kind: "datagrams" };
  return ({ quick }) =>
    ["udp-native-borrowed", "udp-native", "udp-node"].map((peer) => {
      const goal = peer === "udp-node" ? undefined : 1.1;
      return echoComparison(load.title, load, peer, "udp-c", goal, quick);
    });
}

const flowLoads = {
  "udp-bulk": { title: "UDP, bulk sender", flow: "from", size: 1200, warmup: 50_000, messages: 200_000 },
  "udp-metrics": { title: "UDP, 50 B metrics", flow: "from", size: 50, warmup: 50_000, messages: 200_000 },
  "udp-sink": { title: "UDP, sink of 1,200 B", flow: "to", size: 1200, warmup: 50_000, messages: 200_000 },
};
const flowGoals = { "udp-bulk": 0.25, "udp-metrics": 0.35, "udp-sink": 0.4 };

function flowRow(id) {
  const load = { ...flowLoads[id], kind: "datagram-flow" };
  return ({ quick }) => {
    const subjects = id === "udp-sink" ? ["udp-flow-borrowed", "udp-flow"] : ["udp-flow"];
    return subjects.map((name) => echoComparison(load.title, load, name, "udp-flow-node", flowGoals[id], quick));
  };
}

function datagramMemoryRow() {
  const { title, missing } = server("udp-idle");
  return [true, false].map((collect) => ({
    title: "idle memory, UDP",
    subject: { title: `${title}${collect ? ", collected" : ", as left"}`, missing },
    goal: collect ? 1024 : undefined,
    unit: "B",
    measureAlone: () => costPerIdleDatagramSocket("udp-idle", collect),
  }));
}

const relayLoads = {
  "relay-64b": { title: "relay, 64 B x 64", connections: 64, warmup: 50_000, messages: 100_000 },
  "relay-64b-1000": { title: "relay, 64 B x 1000", connections: 1000, warmup: 50_000, messages: 100_000 },
  "relay-bulk": {
    title: "relay, bulk",
    mode: "fetch",
    backend: "c-source",
    connections: 4,
    warmup: 500,
    messages: 2_000,
  },
  "relay-churn": { title: "relay, churn", mode: "churn", connections: 64, warmup: 5_000, messages: 10_000 },
};
const relayGoals = {
  "relay-64b": { "relay-c": 1.05, "relay-haproxy": 0.9, "relay-nginx": 0.9 },
  "relay-64b-1000": { "relay-c": 1.05, "relay-haproxy": 0.9, "relay-nginx": 0.9 },
  "relay-bulk": { "relay-haproxy-splice": 1, "relay-haproxy": 0.45, "relay-node": 0.3 },
  "relay-churn": { "relay-haproxy": 1.1 },
};

function relayRow(id) {
  const load = { backend: "c", ...relayLoads[id] };
  const goals = relayGoals[id];
  const others = ["relay-c", "relay-haproxy", "relay-haproxy-splice", "relay-nginx", "relay-node"];
  return ({ quick }) => [
    ...others.map((other) => echoComparison(load.title, load, "relay", other, goals[other], quick)),
    echoComparison(load.title, load, "relay-portable", "relay-node", 1, quick),
  ];
}

function linesRow({ quick }) {
  return [
    echoComparison("lines", linesLoad, "native-lines", "node-lines", 0.15, quick),
    echoComparison("lines", linesLoad, "native-lines", "node-lines-corked", 0.75, quick),
  ];
}

function portableRow({ quick }) {
  const ids = Object.keys(goals);
  return ids.map((id) => echoComparison(loads[id].title, loads[id], "portable", "node", 1.15, quick));
}

const httpLoad = { title: "HTTP hello x 64", mode: "http", connections: 64, warmup: 20_000, messages: 40_000 };

function httpRow({ quick }) {
  const against = (yardstick, goals) =>
    Object.entries(goals).map(([subject, goal]) =>
      echoComparison(httpLoad.title, httpLoad, subject, yardstick, goal, quick),
    );
  return [
    ...against("http-nginx", {
      "http-class": 0.95,
      "http-fetch": 1.1,
      "http-fetch-global": undefined,
      "http-bun": undefined,
      "node-http": undefined,
    }),
    ...against("node-http", { "http-class-portable": 0.8, "http-fetch-portable": 0.8 }),
    echoComparison(httpLoad.title, httpLoad, "http-bridge", "node-http", 1.15, quick),
    echoComparison(httpLoad.title, httpLoad, "http-bridge-portable", "node-http", undefined, quick),
  ];
}

function bridgesRow() {
  const built = existsSync(new URL("../.build/test/interop/carriers.js", import.meta.url));
  const missing = built ? server("native").missing : "not built: npm run build:test";
  const command = (library, side) => [process.execPath, bridgesScript, library, side];
  const libraries = [
    ["agent", "http.Agent and http.Server"],
    ["http2", "node:http2, both ends"],
    ["tls", "node:tls echo, both ends"],
    ["ws", "ws echo, both ends"],
    ["undici", "undici and http.Server"],
    ["mqtt", "mqtt and aedes"],
    ["mail", "nodemailer and smtp-server"],
    ["redis", "ioredis"],
    ["pg", "pg"],
    ["postgres", "postgres.js"],
    ["stomp", "stompit"],
    ["amqp", "amqplib, over TLS"],
  ];
  return libraries.map(([library, title]) => ({
    title: "bridges",
    subject: { title, missing },
    yardstick: { title: "the same over node:net", missing: undefined },
    goal: undefined,
    unit: "µs",
    measurePair: () => pairOfCommands(command(library, "native"), command(library, "net")),
  }));
}

function timersRow() {
  const command = (kind, shape) => [process.execPath, timersScript, kind, shape];
  return ["held", "in-turn"].map((shape) => ({
    title: `timers, ${shape === "held" ? "held" : "in turn"}`,
    subject: { title: "addTimer", missing: server("native").missing },
    yardstick: { title: "setTimeout", missing: undefined },
    goal: 0.5,
    unit: "ns",
    measurePair: () => pairOfCommands(command("eventmachine", shape), command("setTimeout", shape)),
  }));
}

function toolboxRow() {
  const command = (tool, side) => [process.execPath, toolboxScript, tool, side];
  const tools = [
    ["queue", "Queue", "ring array"],
    ["channel", "Channel", "Set of functions"],
    ["deferrable", "Deferrable", "promises with then"],
    ["ticks", "nextTick", "queueMicrotask"],
  ];
  return tools.map(([tool, subject, yardstick]) => ({
    title: `toolbox, ${tool}`,
    subject: { title: subject, missing: server("native").missing },
    yardstick: { title: yardstick, missing: undefined },
    goal: 1.2,
    unit: "ns",
    measurePair: () => pairOfCommands(command(tool, "ours"), command(tool, "plain")),
  }));
}

function idleMemoryRow({ peers }) {
  return [...peers, ...tlsPeers(peers)].flatMap((peer) => {
    const { node, title, missing } = server(peer);
    const tls = peer.startsWith("tls-");
    const goal = { native: 1024, "tls-native": 20 * 1024 }[peer];
    const entry = (collect, suffix) => ({
      title: tls ? "idle memory, TLS" : "idle memory",
      subject: { title: `${title}${suffix}`, missing },
      goal: collect ? goal : undefined,
      unit: "B",
      measureAlone: () => costPerIdleConnection(peer, collect),
    });
    return node ? [entry(true, ", collected"), entry(false, ", as left")] : [entry(false, "")];
  });
}

/** Row name to a function that lists its comparisons, in the order of the table. */
export const ROWS = {
  ...Object.fromEntries(Object.keys(loads).map((id) => [id, echoRow(id)])),
  ...Object.fromEntries(Object.keys(tlsLoads).map((id) => [id, tlsRow(id)])),
  ...Object.fromEntries(Object.keys(datagramLoads).map((id) => [id, datagramRow(id)])),
  ...Object.fromEntries(Object.keys(flowLoads).map((id) => [id, flowRow(id)])),
  ...Object.fromEntries(Object.keys(relayLoads).map((id) => [id, relayRow(id)])),
  lines: linesRow,
  portable: portableRow,
  http: httpRow,
  bridges: bridgesRow,
  timers: timersRow,
  toolbox: toolboxRow,
  memory: idleMemoryRow,
  "udp-memory": datagramMemoryRow,
};
