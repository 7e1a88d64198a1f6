import assert from "node:assert/strict";
import { test } from "node:test";
import { TlsContext } from "../../src/tls/tls_context.js";
import { planStart } from "../../src/tls/tls_start.js";
import { AUTHORITY } from "../support/pki.js";

const context = new TlsContext({ ca: AUTHORITY });

const names = (host: string, options = {}) => {
  const plan = planStart({ context, ...options }, { tlsRole: "client", peer: { host, port: 443 } });
  return [plan.serverName, plan.verifyName];
};

test("the names a client sends and verifies follow the host", () => {
  assert.deepEqual(names("example.test"), ["example.test", "example.test"]);
  assert.deepEqual(names("Example.Test."), ["example.test", "example.test"]);
  assert.deepEqual(names("bücher.test"), ["xn--bcher-kva.test", "xn--bcher-kva.test"]);
  assert.deepEqual(names("192.0.2.1"), [undefined, "192.0.2.1"]);
  assert.deepEqual(names("[2001:db8::1]"), [undefined, "2001:db8::1"]);
  assert.deepEqual(names("::1"), [undefined, "::1"]);
});

test("options say otherwise", () => {
  assert.deepEqual(names("example.test", { serverName: "other.test" }), ["other.test", "other.test"]);
  assert.deepEqual(names("192.0.2.1", { serverName: "other.test" }), ["other.test", "other.test"]);
  assert.deepEqual(names("example.test", { serverName: false }), [undefined, "example.test"]);
  assert.deepEqual(names("example.test", { verifyName: "other.test" }), ["example.test", "other.test"]);
  assert.deepEqual(names("example.test", { verifyName: "192.0.2.1" }), ["example.test", "192.0.2.1"]);
  assert.deepEqual(names("example.test", { verifyName: false }), ["example.test", undefined]);
});

test("sessions are kept apart by place and names", () => {
  const key = (port: number, options = {}) =>
    planStart({ context, ...options }, { tlsRole: "client", peer: { host: "a.test", port } }).sessionKey;
  const keys = [key(1), key(2), key(1, { serverName: "b.test" }), key(1, { verifyName: "b.test" })];
  assert.equal(new Set(keys).size, 4);
  assert.equal(key(1), key(1));
});

test("without a host somebody has to say whom the certificate is for", () => {
  const nowhere = { tlsRole: "client" as const, peer: undefined };
  assert.throws(() => planStart({ context }, nowhere), /verifyName is needed/);
  assert.equal(planStart({ context, serverName: "a.test" }, nowhere).verifyName, "a.test");
  const loose = new TlsContext({ rejectUnauthorized: false });
  assert.equal(planStart(loose, nowhere).verifyName, undefined);
});

test("a context is shared, options make one of the connection's own, and none is the default", () => {
  const origin = { tlsRole: "client" as const, peer: { host: "a.test", port: 1 } };
  assert.deepEqual([planStart(context, origin).context, planStart(context, origin).isOwned], [context, false]);
  assert.equal(planStart({ ca: AUTHORITY }, origin).isOwned, true);
  assert.equal(planStart(true, origin).context, planStart({ serverName: "b.test" }, origin).context);
});
