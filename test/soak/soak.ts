/**
 * The soak: many connections at once, of random sizes and with random ends, in two processes, for as long as told.
 *
 *   npm run soak -- [--seconds N] [--connections N] [--engine E] [--seed N]
 *
 * Not one byte may be lost where a close was orderly, every end must be the one that was planned, and afterwards
 * descriptors and memory must be back where they were after the warm-up (within figures.ts's tolerance). Prints its seed
 * and its figures; exits 1 when something was not as it must be.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type EngineName, Reactor } from "eventmachine";
import { pattern } from "../conformance/bytes.js";
import { SoakClient } from "./client.js";
import { excess, type Figures, inWords, takeFigures } from "./figures.js";
import { Ledger } from "./peer.js";
import { LARGEST } from "./plan.js";
import { Random } from "./random.js";
import { SoakServer } from "./server.js";

/** How long connections may take to end once no new ones are made. */
const WIND_DOWN = 60_000;

/** Two thousand connections share one thread at either end: a peer may take longer to its FIN than the default allows. */
const LINGER = 45_000;

interface Account {
  ledger: Ledger;
  figures: Figures;
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    connections: { type: "string", default: "2000" },
    engine: { type: "string", default: "auto" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    /** Of the process that this one starts. */
    serve: { type: "string" },
  },
});
const engine = values.engine as EngineName;
const seed = wholeNumber("seed", values.seed);
const seconds = wholeNumber("seconds", values.seconds);
const connections = wholeNumber("connections", values.connections);

if (values.serve === undefined) process.exitCode = await drive();
else await serve(values.serve);

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, not ${text}`);
  process.exit(2);
}

/** The accepting process: tells its parent its port, and its account whenever it is asked. */
async function serve(file: string): Promise<void> {
  const reactor = new Reactor({ engine });
  const ledger = new Ledger();
  const random = new Random(seed ^ 0x5eed);
  await reactor.run(async () => {
    const at = { host: "127.0.0.1", port: 0, allowHalfOpen: true, lingerTimeout: LINGER };
    const listener = await reactor.startServer(at, SoakServer, ledger, random, file);
    process.on("message", async (what) => {
      if (what === "stop") {
        process.disconnect();
        reactor.stop();
        return;
      }
      while (reactor.connectionCount > 0) await sleep(10);
      process.send?.({ ledger, figures: await takeFigures() } satisfies Account);
    });
    process.send?.({ port: listener.port });
  });
}

/** The connecting process, which judges. */
async function drive(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "em-soak-"));
  const file = join(folder, "file");
  writeFileSync(file, pattern(LARGEST));
  const args = ["--serve", file, "--engine", engine, "--seed", String(seed)];
  const child = fork(fileURLToPath(import.meta.url), args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const gone = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  try {
    const [{ port }] = (await first(child, gone)) as [{ port: number }];
    const askServer = async (): Promise<Account> => {
      child.send("account");
      const [account] = (await first(child, gone)) as [Account];
      return account;
    };
    console.log(`seed ${seed}, engine ${engine}, ${connections} connections at once for ${seconds} s`);
    const problems = await soak(port, askServer);
    child.send("stop");
    const [code, signal] = await gone;
    if (code !== 0) problems.push(`the server ended with ${signal ?? code}`);
    for (const problem of problems) console.log(`wrong: ${problem}`);
    console.log(problems.length === 0 ? "all as it must be" : `failed; --seed ${seed} repeats the plan`);
    return problems.length === 0 ? 0 : 1;
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The next message, or the child's end as an error. */
function first(child: ReturnType<typeof fork>, gone: Promise<[number | null, NodeJS.Signals | null]>) {
  const ended = gone.then(([code, signal]) => Promise.reject(new Error(`the server ended with ${signal ?? code}`)));
  return Promise.race([once(child, "message"), ended]);
}

async function soak(port: number, askServer: () => Promise<Account>): Promise<string[]> {
  const reactor = new Reactor({ engine });
  const random = new Random(seed);
  const problems: string[] = [];
  await reactor.run(async () => {
    // The warm-up grows what grows once: tables, compiled code, the heap itself.
    const warmUp = new Ledger();
    await churn(reactor, port, warmUp, random, Math.max(2, Math.min(10, seconds / 4)));
    const before = { client: await takeFigures(), server: (await askServer()).figures };

    const ledger = new Ledger();
    const begun = performance.now();
    await churn(reactor, port, ledger, random, seconds);
    const took = (performance.now() - begun) / 1000;
    const server = await askServer();
    const after = { client: await takeFigures(), server: server.figures };

    const bytes = ledger.bytesChecked + server.ledger.bytesChecked;
    console.log(`${ledger.connections} connections in ${took.toFixed(1)} s, ${(bytes / 1e9).toFixed(2)} GB checked`);
    console.log(`planned: ${counts(ledger.endings)}`);
    console.log(`client ends: ${counts(ledger.reasons)}`);
    console.log(`server ends, warm-up included: ${counts(server.ledger.reasons)}`);
    for (const side of ["client", "server"] as const) {
      console.log(`${side} before: ${inWords(before[side])}`);
      console.log(`${side} after:  ${inWords(after[side])}`);
      problems.push(...excess(before[side], after[side]).map((what) => `${side}: ${what}`));
    }
    for (const { wrongs, samples } of [warmUp, ledger, server.ledger]) {
      if (wrongs > 0) problems.push(`${wrongs} times:`, ...samples);
    }
    if (ledger.connections < connections) problems.push(`only ${ledger.connections} connections were made`);
    reactor.stop();
  });
  return problems;
}

/** Keeps so many connections going for so long, then waits for the last of them. */
async function churn(reactor: Reactor, port: number, ledger: Ledger, random: Random, time: number): Promise<void> {
  const end = performance.now() + time * 1000;
  let open = 0;
  const start = (): void => {
    open++;
    reactor.connect({ host: "127.0.0.1", port, lingerTimeout: LINGER }, SoakClient, ledger, random, () => {
      open--;
      if (performance.now() < end) reactor.nextTick(start);
    });
  };
  for (let count = 0; count < connections; count++) start();
  while (performance.now() < end || open > 0) {
    if (performance.now() > end + WIND_DOWN) {
      ledger.wrong(`${open} connections have not ended ${WIND_DOWN} ms after the last was made`);
      return;
    }
    await sleep(10);
  }
}

function counts(table: Readonly<Record<string, number>>): string {
  return Object.entries(table)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
