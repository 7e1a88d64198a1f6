// What does an idle connection cost in memory of the server's process? The slope between two numbers of connections,
// each of which has echoed one message and then stays silent. The client is another process.

import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startLoad, startServer } from "./measure.mjs";
import { server } from "./servers.mjs";

const FEW = 4_000;
const MANY = 15_000; // both ends stay below a descriptor limit of 20,000 each
const collector = fileURLToPath(new URL("servers/collect_on_signal.mjs", import.meta.url));

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
    await setTimeout(100);
    const now = memoryOf(pid);
    if (now === last) break;
    last = now;
  }
  return last;
}

// The young generation grows by megabytes whenever V8 sees fit, which would drown what connections take.
const COLLECTED = ["--expose-gc", "--max-semi-space-size=1", "--import", collector];

/** Bytes a connection. With `collect`, a Node server has collected its garbage before each of the two readings. */
export async function costPerIdleConnection(name, collect) {
  const collects = collect && server(name).node;
  const { child, port } = await startServer(name, collects ? COLLECTED : []);
  const load = startLoad("hold", port);
  const memoryAt = async (connections) => {
    load.tell(connections);
    const answer = await load.line();
    if (answer !== `holding ${connections}`) throw new Error(answer);
    if (collects) {
      child.signal("SIGUSR2");
      await child.line();
    }
    return settledMemoryOf(child.pid);
  };
  try {
    const few = await memoryAt(FEW);
    return ((await memoryAt(MANY)) - few) / (MANY - FEW);
  } finally {
    await load.stop();
    await child.stop();
  }
}
