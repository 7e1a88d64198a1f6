/**
 * The soak: many connections at once, of random sizes and with random ends, in two processes, for as long as told.
 *
 *   npm run soak -- [--seconds N] [--connections N] [--engine E] [--seed N]
 *
 * A third of them runs over TLS, of both versions, with sessions resumed and ticket keys renewed. Beside them child processes
 * come and go, watches of files and of descriptors, and jobs in threads. Not one byte may be lost
 * where a close was orderly, every end must be the one that was planned, with the reason that belongs to it, and afterwards
 * descriptors and memory must be back where they were after the warm-up (within the tolerance of figures.ts). Prints its seed
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
import { type EngineName, engineInfo, Reactor } from "eventmachine";
import { pattern } from "../support/bytes.js";
import { excess, type Figures, inWords, takeFigures } from "../support/figures.js";
import { Random } from "../support/random.js";
import { SoakClient } from "./client.js";
import { Company } from "./company.js";
import { termsOf } from "./expected.js";
import { Ledger } from "./peer.js";
import { LARGEST, makePlan } from "./plan.js";
import { soakClientContext, soakServerContext } from "./secure.js";
import { SoakServer } from "./server.js";

/** How long connections may take to end once no new ones are made. */
const WIND_DOWN = 60_000;

/** Two thousand connections share one thread at either end: a peer may take longer to its FIN than the default allows. */
const LINGER = 45_000;

/** Where the servers listen. */
interface Ports {
  readonly clear: number;
  readonly secure: number;
}

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
const info = engineInfo(engine);
const terms = { clear: termsOf(info, false), secure: termsOf(info, true) };
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

/** The accepting process: tells its parent its ports, and its account whenever it is asked. */
async function serve(file: string): Promise<void> {
  const reactor = new Reactor({ engine });
  const ledger = new Ledger();
  const random = new Random(seed ^ 0x5eed);
  await reactor.run(async () => {
    const at = { host: "127.0.0.1", port: 0, allowHalfOpen: true, lingerTimeout: LINGER };
    const clear = await reactor.startServer(at, SoakServer, ledger, random, terms.clear, file);
    const tls = soakServerContext();
    // All of them may be in their handshake at once, when the run begins.
    const crowd = { ...at, tls, maxHandshakes: Number.POSITIVE_INFINITY };
    const secure = await reactor.startServer(crowd, SoakServer, ledger, random, terms.secure, file);
    // Also where the parent was killed: nobody would end this process then.
    process.on("disconnect", () => reactor.stop());
    process.on("message", async (what) => {
      if (what === "stop") {
        process.disconnect();
        return;
      }
      while (reactor.connectionCount > 0) await sleep(10);
      process.send?.({ ledger, figures: await takeFigures() } satisfies Account);
    });
    process.send?.({ clear: clear.port as number, secure: secure.port as number } satisfies Ports);
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
    const [ports] = (await first(child, gone)) as [Ports];
    const askServer = async (): Promise<Account> => {
      child.send("account");
      const [account] = (await first(child, gone)) as [Account];
      return account;
    };
    console.log(`seed ${seed}, engine ${engine}, ${connections} connections at once for ${seconds} s`);
    const problems = await soak(ports, askServer);
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

async function soak(ports: Ports, askServer: () => Promise<Account>): Promise<string[]> {
  const reactor = new Reactor({ engine });
  const random = new Random(seed);
  const problems: string[] = [];
  await reactor.run(async () => {
    // The warm-up grows what grows once: tables, compiled code, the heap itself.
    const warmUp = new Ledger();
    const warming = Math.max(2, Math.min(10, seconds / 4));
    await keepBusy(reactor, ports, warmUp, random, warming);
    const before = { client: await takeFigures(), server: (await askServer()).figures };

    const ledger = new Ledger();
    const begun = performance.now();
    const company = await keepBusy(reactor, ports, ledger, random, seconds);
    const took = (performance.now() - begun) / 1000;
    const server = await askServer();
    const after = { client: await takeFigures(), server: server.figures };

    const bytes = ledger.bytesChecked + server.ledger.bytesChecked;
    console.log(`${ledger.connections} connections in ${took.toFixed(1)} s, ${(bytes / 1e9).toFixed(2)} GB checked`);
    console.log(`planned: ${counts(ledger.endings)}`);
    console.log(`beside them: ${counts(company.done)}`);
    console.log(`handshakes: ${counts(ledger.handshakes)}`);
    console.log(`client ends: ${counts(ledger.clear)}; under TLS: ${counts(ledger.secure)}`);
    const { clear, secure } = server.ledger;
    console.log(`server ends, warm-up included: ${counts(clear)}; under TLS: ${counts(secure)}`);
    for (const side of ["client", "server"] as const) {
      console.log(`${side} before: ${inWords(before[side])}`);
      console.log(`${side} after:  ${inWords(after[side])}`);
      problems.push(...excess(before[side], after[side], info.engine).map((what) => `${side}: ${what}`));
    }
    for (const { wrongs, samples } of [warmUp, ledger, server.ledger]) {
      if (wrongs > 0) problems.push(`${wrongs} times:`, ...samples);
    }
    for (const kind of ["TLSv1.2 in full", "TLSv1.2 resumed", "TLSv1.3 in full", "TLSv1.3 resumed"]) {
      if (ledger.handshakes[kind] === undefined) problems.push(`no handshake was ${kind}`);
    }
    for (const [what, times] of Object.entries(company.done)) {
      if (times === 0 && (what !== "descriptors" || info.engine === "native")) problems.push(`no ${what} beside them`);
    }
    if (ledger.connections < connections) problems.push(`only ${ledger.connections} connections were made`);
    reactor.stop();
  });
  return problems;
}

/** Connections, and beside them children, watches and jobs. */
async function keepBusy(
  reactor: Reactor,
  ports: Ports,
  ledger: Ledger,
  random: Random,
  time: number,
): Promise<Company> {
  const company = new Company(reactor, ledger, random);
  await Promise.all([churn(reactor, ports, ledger, random, time), company.keep(performance.now() + time * 1000)]);
  return company;
}

/** Keeps so many connections going for so long, then waits for the last of them. */
async function churn(reactor: Reactor, ports: Ports, ledger: Ledger, random: Random, time: number): Promise<void> {
  const end = performance.now() + time * 1000;
  let open = 0;
  const start = (): void => {
    open++;
    const plan = makePlan(random);
    const over = (): void => {
      open--;
      if (performance.now() < end) reactor.nextTick(start);
    };
    const way = plan.isSecure ? "secure" : "clear";
    const at = { host: "127.0.0.1", port: ports[way], lingerTimeout: LINGER };
    const address = plan.isSecure ? { ...at, tls: soakClientContext(random) } : at;
    reactor.connect(address, SoakClient, ledger, random, terms[way], plan, over);
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
