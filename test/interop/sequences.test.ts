import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { bridges, type Carrier, nodeNet, settled, until } from "./carriers.js";

/** What is done to one end of a connection; `done` notes a callback. */
const OPERATIONS: Record<string, (socket: Socket, done: (error?: Error | null) => void) => unknown> = {
  write: (socket, done) => socket.write("x".repeat(100), done),
  writeNothing: (socket, done) => socket.write("", done),
  writeThrice: (socket, done) => {
    socket.write("a", done);
    socket.write(Buffer.alloc(1_000, "b"), done);
    socket.write("c", "latin1", done);
  },
  writeCorked: (socket, done) => {
    socket.cork();
    socket.write("aaa", done);
    socket.write("bbb", done);
    process.nextTick(() => socket.uncork());
  },
  /** More than the kernel takes for a peer that does not read. */
  writeMuch: (socket, done) => socket.write(Buffer.alloc(12_000_000), done),
  end: (socket, done) => socket.end(done),
  endTwice: (socket, done) => socket.end(done).end(done),
  endWith: (socket, done) => socket.end("last", done),
  endCorked: (socket, done) => {
    socket.cork();
    socket.write("aaa", done);
    socket.end("z", done);
  },
  destroy: (socket) => socket.destroy(),
  destroyWithError: (socket) => socket.destroy(Object.assign(new Error("no more"), { code: "NO_MORE" })),
  destroyBehindWrite: (socket, done) => {
    socket.write("y".repeat(50), done);
    socket.destroy();
  },
  destroySoon: (socket) => socket.destroySoon(),
  destroySoonBehindWrite: (socket, done) => {
    socket.write("y".repeat(50), done);
    socket.destroySoon();
  },
  reset: (socket) => socket.resetAndDestroy(),
  pause: (socket) => socket.pause(),
  resume: (socket) => socket.resume(),
  read: (socket) => socket.read(),
  readOne: (socket) => socket.read(1),
  unshift: (socket) => {
    if (socket.readableFlowing === false && !socket.readableEnded && !socket.destroyed)
      socket.unshift(Buffer.from("u"));
  },
  setEncoding: (socket) => socket.readableFlowing === null && socket.setEncoding("latin1"),
  options: (socket) => socket.setNoDelay().setKeepAlive(true, 5_000).unref().ref().setTimeout(60_000),
};

/**
 * A write is with a socket's kernel when it returns, and with a connection at the end of the turn: who writes to a peer that
 * is gone hears of it that much later, and behind what he does in the same breath.
 */
const WANT_A_PEER = new Set(
  "writeNothing writeThrice endWith endCorked destroyBehindWrite destroySoonBehindWrite".split(" "),
);

/** What does not reset the sender of more than was taken: a paused stream may hear of a reset when it reads again. */
const HARMLESS = new Set("write pause options".split(" "));

type Name = "client" | "server";
interface Step {
  readonly who: Name;
  readonly what: string;
}
interface Plan {
  readonly allowHalfOpen: boolean;
  readonly reading: Record<Name, "not" | "data" | "readable">;
  /** What the client does before it is connected. */
  readonly early: readonly string[];
  readonly steps: readonly Step[];
}

const readings = fc.constantFrom<"not" | "data" | "readable">("not", "data", "readable");
const operation = fc.oneof(fc.constantFrom(...Object.keys(OPERATIONS)), fc.constant("write"));
const EARLY = "write writeThrice writeCorked end endWith destroy destroyWithError destroySoon options".split(" ");
const plans = fc.record<Plan>({
  allowHalfOpen: fc.boolean(),
  reading: fc.record({ client: readings, server: readings }),
  early: fc.array(fc.constantFrom(...EARLY), { maxLength: 2 }),
  steps: fc.array(fc.record({ who: fc.constantFrom<Name>("client", "server"), what: operation }), {
    minLength: 1,
    maxLength: 6,
  }),
});

/**
 * The code of an error. From Node 22 on node:net says of what is under way when a socket is destroyed that it was cancelled, and
 * of what waits behind it; a bridge does as Node 20.
 */
function codeOf(error: unknown, what: string): string | undefined {
  const code = (error as NodeJS.ErrnoException | null | undefined)?.code;
  if (code !== "ECANCELED") return code;
  return what === "writeMuch" || what === "errored" ? undefined : "ERR_STREAM_DESTROYED";
}

/** What each end has told and how it stands, behind each step. */
async function story(carrier: Carrier, plan: Plan): Promise<string[]> {
  const { allowHalfOpen, reading, early, steps } = plan;
  const chapters: string[] = [];
  await carrier.run(async () => {
    const served = await carrier.serve(undefined, { allowHalfOpen });
    const ends: Partial<Record<Name, Socket>> = {};
    const said: Record<Name, string[]> = { client: [], server: [] };
    const received: Record<Name, number> = { client: 0, server: 0 };
    const follow = (name: Name, socket: Socket): void => {
      ends[name] = socket;
      const say = (...words: unknown[]): unknown => said[name].push(words.join(" "));
      socket.on("connect", () => say("connect"));
      socket.on("ready", () => say("ready"));
      socket.on("end", () => say("end"));
      socket.on("finish", () => say("finish"));
      socket.on("error", (error: NodeJS.ErrnoException) => say("error", error.code, error.syscall));
      socket.on("close", (hadError) => say("close", hadError));
      const take = (chunk: Buffer | string): void => {
        received[name] += chunk.length;
      };
      if (reading[name] === "data") socket.on("data", take);
      if (reading[name] === "readable") {
        socket.on("readable", () => {
          for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) take(chunk);
        });
      }
    };
    let full: Name | undefined;
    /** Whose story is told: a reader that is full hears of a reset now, or when it reads again. */
    const told = (): Name[] => (full !== undefined && ends[full]?.destroyed ? [full] : ["client", "server"]);
    const view = (): unknown[] =>
      told().flatMap((name) => {
        const socket = ends[name];
        if (socket === undefined) return [];
        const { readable, writable, readyState, destroyed, closed, readableEnded, writableFinished } = socket;
        const errored = codeOf(socket.errored, "errored");
        const counts = [received[name], socket.bytesRead, socket.readableLength];
        const aborted = [socket.readableAborted, socket.writableAborted];
        return [
          { name, readable, writable, readyState, destroyed, closed, readableEnded, writableFinished, errored },
          { counts, aborted, flowing: socket.readableFlowing },
        ];
      });
    const act = (name: Name, what: string): void => {
      const socket = ends[name] as Socket;
      const isAlone = ends[name === "client" ? "server" : "client"]?.destroyed === true;
      if (isAlone && WANT_A_PEER.has(what)) return;
      OPERATIONS[what]?.(socket, (error) => {
        // Whether a write to nobody was taken is told at another time.
        if (!isAlone) said[name].push(`${what} ${codeOf(error, what) ?? "done"}`);
      });
    };
    const chapter = async (title: string): Promise<void> => {
      await settled(() => [view(), said]);
      chapters.push(`${title}: ${JSON.stringify([view(), told().map((name) => said[name])])}`);
      said.client = [];
      said.server = [];
    };

    follow("client", carrier.dial(served.port, { allowHalfOpen }));
    for (const what of early) act("client", what);
    const client = ends.client as Socket;
    if (!client.destroyed) {
      if (client.connecting) await once(client, "connect");
      follow("server", await served.socket());
    }
    await chapter(`begun with ${early.join(", ") || "nothing"}`);
    for (const { who, what } of steps) {
      if (ends[who] === undefined) continue;
      if (full !== undefined && who !== full && !HARMLESS.has(what)) continue;
      if (what === "writeMuch") full = who;
      act(who, what);
      await chapter(`${who} ${what}`);
      if (full !== undefined && ends[full]?.destroyed) break;
    }
    for (const socket of Object.values(ends)) socket.destroy();
    await until(() => Object.values(ends).every(({ closed }) => closed), "both are closed");
    await served.close();
  });
  return chapters;
}

for (const bridge of bridges()) {
  test(`whatever is done to both ends of it, ${bridge.name} tells what node:net tells`, {
    timeout: 150_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        assert.deepEqual(await story(bridge, plan), await story(nodeNet, plan));
      }),
      { numRuns: 250 },
    );
  });
}
