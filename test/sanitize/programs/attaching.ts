import { once } from "node:events";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { Worker } from "node:worker_threads";
import type { Handle } from "../../../src/engine/streams.js";
import { CONNECT, Driver } from "../../engine/native/driver.js";
import type { Answer, Order } from "./attaching_worker.js";

/**
 * Worker threads attach one descriptor at one moment, again and again: `attaching.js KIND ROUNDS LISTENERS`. KIND says what:
 *
 * - `streams`: a connection, by all alike; what its peer sends then comes to the one whose it is
 * - `either`: a connection, by some as a listener, whose attempt fails but is the only one where it comes first
 * - `detached`: a connection that its owner detaches at that moment; it may be too early for everybody
 * - `listeners`: the descriptors from 3 on, which listen
 *
 * Prints how often it was one's, and nobody's; ends with an error where it was several threads'.
 */
const [kind, rounds, listeners] = [process.argv[2] as string, Number(process.argv[3]), Number(process.argv[4])];
const THREADS = 3;
const REFUSED = new Set([-constants.errno.EEXIST, -constants.errno.EBADF]);

const start = new BigInt64Array(new SharedArrayBuffer(8));
/** How many wait, and whether the moment is fixed. */
const gate = new Int32Array(new SharedArrayBuffer(8));
const driver = new Driver();
const workers = Array.from(
  { length: THREADS },
  () => new Worker(new URL("./attaching_worker.js", import.meta.url), { workerData: { start, gate } }),
);
for (const worker of workers) {
  worker.on("error", (error) => {
    throw error;
  });
}

/** The next word of each. */
function words<T>(): Promise<T[]> {
  return Promise.all(workers.map(async (worker) => (await once(worker, "message"))[0] as T));
}

async function race(fd: number, callOf: (index: number) => Order["call"], atStart = () => {}): Promise<number[]> {
  Atomics.store(gate, 0, 0);
  Atomics.store(gate, 1, 0);
  const answers = words<Answer>();
  for (const [index, worker] of workers.entries()) worker.postMessage({ fd, call: callOf(index) } satisfies Order);
  for (let waiting = 0; waiting < THREADS; waiting = Atomics.load(gate, 0)) Atomics.wait(gate, 0, waiting, 20_000);
  // Time enough for all to wake.
  const at = process.hrtime.bigint() + 150_000n;
  Atomics.store(start, 0, at);
  Atomics.store(gate, 1, 1);
  Atomics.notify(gate, 1);
  while (process.hrtime.bigint() < at);
  atStart();
  return (await answers).map(({ errno }) => errno);
}

async function release(): Promise<void> {
  const released = words();
  for (const worker of workers) worker.postMessage("release");
  await released;
}

async function detach(handle: Handle): Promise<number> {
  let fd = -1;
  driver.react.closed = (closed) => {
    if (closed === handle) fd = driver.engine.takeDetached(handle).fd;
  };
  driver.engine.detach(handle);
  await driver.closing(handle);
  driver.react.closed = () => {};
  return fd;
}

/** A connection of which only one end is the driver's. */
async function pair(): Promise<{ client: Handle; server: Handle }> {
  const accepted = driver.accepts.length;
  const client = driver.engine.connect(address, CONNECT);
  await driver.until(() => driver.accepts.length > accepted && driver.has("connected", client), "a pair");
  return { client, server: driver.accepts.at(-1) as Handle };
}

const figures = { one: 0, nobody: 0 };

function count(errnos: readonly number[], mayBeNobody: boolean): void {
  const owners = errnos.filter((errno) => !REFUSED.has(errno)).length;
  if (owners > 1 || (owners === 0 && !mayBeNobody)) throw new Error(`${owners} owners: ${errnos}`);
  if (owners === 1) figures.one++;
  else figures.nobody++;
}

const { address } = await driver.listen();
await words();
for (let round = 0; round < rounds; round++) {
  if (kind === "listeners") {
    if (round >= listeners) break;
    count(await race(3 + round, () => "adoptListener"), false);
    await release();
    continue;
  }
  const { client, server } = await pair();
  if (kind === "detached") {
    // It is already this thread's, and goes on being so where all the others were too early.
    const fd = await detach(client);
    const owned = driver.engine.adoptStream(fd, CONNECT);
    await driver.event("connected", owned);
    let detached: Promise<number> | undefined;
    const errnos = await race(
      fd,
      () => "adoptStream",
      () => {
        detached = detach(owned);
      },
    );
    if ((await detached) !== fd) throw new Error("what was detached is another descriptor");
    count(errnos, true);
    if (!errnos.includes(0)) closeSync(fd);
  } else {
    const errnos = await race(await detach(client), (index) =>
      kind === "either" && (index + round) % THREADS === 0 ? "adoptListener" : "adoptStream",
    );
    count(errnos, false);
    if (errnos.includes(0)) {
      driver.engine.writeString(server, `round ${round}`, "utf8");
      const text = `round ${round}`;
      if ((await driver.gets(server, text.length)).toString() !== text) throw new Error("not what was sent came back");
    }
  }
  await release();
  driver.engine.close(server);
  await driver.closing(server);
  driver.received.clear();
  driver.closings.length = 0;
  driver.log.length = 0;
}
console.log(JSON.stringify(figures));
await Promise.all(workers.map((worker) => worker.terminate()));
driver.engine.stop();
