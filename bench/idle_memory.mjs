// What does an idle connection cost in memory of the server's process? The slope over numbers of connections, each of
// which has echoed one message and then stays silent. The client is another process.
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startLoad, startServer } from "./measure.mjs";
import { server } from "./servers.mjs";

const FEW = 4_000;
const MANY = 15_000; // both ends stay below a descriptor limit of 20,000 each
const STEP = 1_000;
const collector = fileURLToPath(new URL("servers/collect_on_signal.mjs", import.meta.url));

// The young generation grows by megabytes whenever V8 sees fit, and malloc makes an arena for each of its helper threads.
const COLLECTING = ["--expose-gc", "--max-semi-space-size=1", "--import", collector];
const ONE_ARENA = { MALLOC_ARENA_MAX: "1" };

/**
 * Bytes of anonymous and shared memory in the process's name. Pages of files (its code) are left out: they do not grow
 * with connections, and their share depends on who else runs the same program.
 */
function memoryOf(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kilobytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(rollup)[1]);
  return (kilobytes("Pss_Anon") + kilobytes("Pss_Shmem")) * 1024;
}

/** The memory once two readings in a row agree: allocators give pages back with a delay. */
async function settledMemoryOf(pid) {
  let last = memoryOf(pid);
  for (let i = 0; i < 50; i++) {
    await setTimeout(50);
    const now = memoryOf(pid);
    if (now === last) break;
    last = now;
  }
  return last;
}

/** The slope of the straight line with the least squares through [x, y] points. */
function slopeOf(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [middleX, middleY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const products = points.map(([x, y]) => (x - middleX) * (y - middleY));
  return mean(products) / mean(points.map(([x]) => (x - middleX) ** 2));
}

/** Bytes a connection. With `collect`, a Node server has collected its garbage before each reading. */
export async function costPerIdleConnection(name, collect) {
  const { child, port, collects } = await startIdle(name, collect);
  const load = startLoad(name.startsWith("tls-") ? "tls" : "plain", "hold", port);
  try {
    return await slopeOfMemory(child, load, collects);
  } finally {
    await load.stop();
    await child.stop();
  }
}

/** Bytes a datagram socket, which the server opens itself: nobody has sent it anything. */
export async function costPerIdleDatagramSocket(name, collect) {
  const { child, collects } = await startIdle(name, collect);
  try {
    return await slopeOfMemory(child, child, collects);
  } finally {
    await child.stop();
  }
}

async function startIdle(name, collect) {
  const collects = collect && server(name).node;
  const started = collects ? await startServer(name, COLLECTING, ONE_ARENA) : await startServer(name);
  return { ...started, collects };
}

/** `holder` is told how many there are to be. */
async function slopeOfMemory(child, holder, collects) {
  const points = [];
  for (let connections = FEW; connections <= MANY; connections += STEP) {
    holder.tell(connections);
    const answer = await holder.line();
    if (answer !== `holding ${connections}`) throw new Error(answer);
    if (collects) {
      child.signal("SIGUSR2");
      await child.line();
    }
    points.push([connections, await settledMemoryOf(child.pid)]);
  }
  return slopeOf(points);
}
