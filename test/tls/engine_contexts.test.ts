import assert from "node:assert/strict";
import { test } from "node:test";
import { TlsContext, UnsupportedError } from "eventmachine";
import type { Engine } from "../../src/engine/engine.js";
import type { TlsContextSettings } from "../../src/engine/tls.js";
import { EngineContexts } from "../../src/tls/engine_contexts.js";
import { TlsContext as SourceContext } from "../../src/tls/tls_context.js";
import { AUTHORITY, identity } from "../support/pki.js";

/** An engine that makes contexts and does nothing else. */
function fakeEngine(capabilities: string[] = ["ticketKeySets"]) {
  const log: string[] = [];
  const made: TlsContextSettings[] = [];
  const engine = {
    name: "native",
    capabilities: new Set(capabilities),
    createTlsContext: (settings: TlsContextSettings) => {
      made.push(settings);
      log.push(`make ${made.length}`);
      return made.length;
    },
    setTicketKeys: (id: number, keys: Buffer[]) => log.push(`keys ${id} ${keys.length}`),
    setStaple: (id: number, staple: Buffer | undefined) => log.push(`staple ${id} ${staple?.length}`),
    releaseTlsContext: (id: number) => log.push(`release ${id}`),
  } as unknown as Engine;
  return { engine, log, made };
}

const makeServer = (options = {}) => new SourceContext({ ...identity("server"), ...options });

test("a context is made once for each role, and released with its owner", () => {
  const { engine, log } = fakeEngine();
  const contexts = new EngineContexts(engine);
  const context = makeServer();
  assert.equal(contexts.idFor(context, "server"), 1);
  assert.equal(contexts.idFor(context, "server"), 1);
  assert.equal(contexts.idFor(context, "client"), 2);
  contexts.release(context);
  contexts.release(context);
  assert.deepEqual(log, ["make 1", "make 2", "release 1", "release 2"]);
  assert.equal(contexts.idFor(context, "server"), 3, "and made anew where it is used again");
});

test("a server that asks for no certificates needs to trust nobody", () => {
  const { engine, made } = fakeEngine();
  const contexts = new EngineContexts(engine);
  contexts.idFor(makeServer(), "server");
  contexts.idFor(makeServer(), "client");
  contexts.idFor(makeServer({ ca: AUTHORITY, requestCertificate: true }), "server");
  assert.deepEqual(
    made.map(({ trust }) => trust.certificates.length > 10),
    [false, true, false],
  );
  assert.deepEqual(made[0]?.trust.certificates, []);
  assert.equal(made[1]?.trust.isNodeDefault, true);
  assert.equal(made[2]?.trust.certificates.length, 1);
});

test("what changes reaches every engine that has the context, and those that come later", () => {
  const [one, two, late] = [fakeEngine(), fakeEngine(), fakeEngine()];
  const context = makeServer();
  const [first, second] = [new EngineContexts(one.engine), new EngineContexts(two.engine)];
  first.idFor(context, "server");
  second.idFor(context, "server");
  context.setTicketKeys([Buffer.alloc(48, 1), Buffer.alloc(48, 2)]);
  context.setOcspResponse(Buffer.from([0x30, 0x00]));
  assert.deepEqual(one.log, ["make 1", "keys 1 2", "staple 1 2"]);
  assert.deepEqual(two.log, one.log);
  first.close();
  context.setOcspResponse(undefined);
  assert.deepEqual(one.log.length, 3, "an engine that has stopped hears no more");
  assert.deepEqual(two.log.at(-1), "staple 1 undefined");
  new EngineContexts(late.engine).idFor(context, "server");
  assert.equal(late.made[0]?.ticketKeys.length, 2);
  assert.equal(late.made[0]?.staple, undefined);
});

test("an engine that takes one ticket key is not given two", () => {
  const { engine, log } = fakeEngine([]);
  const contexts = new EngineContexts(engine);
  const context = makeServer();
  contexts.idFor(context, "server");
  const keys = [Buffer.alloc(48, 1), Buffer.alloc(48, 2)];
  assert.throws(() => context.setTicketKeys(keys), UnsupportedError);
  assert.throws(() => contexts.idFor(makeServer({ ticketKeys: keys }), "server"), UnsupportedError);
  assert.deepEqual(log, ["make 1"]);
});

test("a context that nobody holds any more is given up", async () => {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { engine, log } = fakeEngine();
  const contexts = new EngineContexts(engine);
  (() => contexts.idFor(makeServer(), "server"))();
  for (let round = 0; round < 100 && !log.includes("release 1"); round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.deepEqual(log, ["make 1", "release 1"]);
});

test("the package's own class is the one that is tested here", () => {
  assert.equal(new TlsContext(identity("server")).certificates.length, 1);
});
