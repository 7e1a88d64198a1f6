// Imports run downward only, and never in a circle:  npm run check:imports
const { readdirSync } = require("node:fs");
const { join } = require("node:path");

/**
 * The floors of src/ from the top down. A file imports from its own room and from floors below; rooms that share a floor know
 * nothing of each other. A room within a room is named by its path, and is then no part of the outer one. Some rooms are yet
 * to be built.
 */
const FLOORS = [
  ["cli"],
  ["index.ts", "http.ts"],
  ["shard"],
  ["reactor"],
  ["proxy"],
  ["websocket"],
  ["interop", "http", "protocols"],
  ["client"],
  ["server"],
  ["datagram", "watch", "process", "relay", "workers"],
  ["connection"],
  ["core"],
  ["options"],
  ["tls"],
  ["timers"],
  ["dns"],
  ["toolbox"],
  ["engine/select.ts"],
  ["engine/native", "engine/portable", "engine/simulated"],
  ["engine/node"],
  ["engine"],
  ["codecs"],
  ["observe"],
  ["base"],
];

/** Rooms that stand on connections: what they do to one goes through the class, or through its StreamPort. */
const CLAIMANTS = ["websocket", "interop", "http", "protocols"];

const rooms = FLOORS.flat();
const placed = new Set(rooms.map((room) => room.split("/")[0]));
const unplaced = readdirSync(join(__dirname, "src")).filter((name) => !placed.has(name));
if (unplaced.length > 0) throw new Error(`src/${unplaced.join(", src/")} must have a floor in .dependency-cruiser.cjs`);

/** What a file of that room looks like: a pattern of paths. */
function pathOf(room) {
  const literal = (path) => path.replaceAll(".", "\\.") + (path.endsWith(".ts") ? "$" : "/");
  const inner = rooms.filter((other) => other.startsWith(`${room}/`));
  const except = inner.map((other) => `(?!${literal(other.slice(room.length + 1))})`);
  return `^src/${literal(room)}${except.join("")}`;
}

/** From each room: what is above it, and its neighbours. */
const upward = FLOORS.flatMap((floor, height) =>
  floor.map((room) => ({
    name: `downward-from-${room}`,
    severity: "error",
    from: { path: pathOf(room) },
    to: { path: [...FLOORS.slice(0, height).flat(), ...floor.filter((other) => other !== room)].map(pathOf) },
  })),
).filter(({ to }) => to.path.length > 0);

module.exports = {
  forbidden: [
    ...upward,
    {
      name: "through-the-port",
      severity: "error",
      from: { path: CLAIMANTS.map(pathOf) },
      to: { path: pathOf("connection"), pathNot: "^src/connection/connection\\.ts$" },
    },
    {
      name: "no-circles",
      comment:
        "Types count for the direction, not here: they are erased, so that two classes that name each other can still be loaded in any order.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
  },
};
