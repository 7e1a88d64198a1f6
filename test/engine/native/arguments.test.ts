import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { test } from "node:test";
import type { Binding } from "../../../src/engine/native/binding.js";
import { pkiFile } from "../../support/pki.js";
import { native } from "./driver.js";

const binding = createRequire(import.meta.url)(native().path) as Binding;
const EMPTY = new Uint8Array(0);

function makeContext(trust: unknown): unknown {
  const [loop] = binding.create(
    () => {},
    () => {},
    2,
  );
  try {
    const numbers = Int32Array.of(0, 0x303, 0x304, 300, 16_384, 32_768, 32);
    return binding.tlsContext(loop, trust, numbers, "", "", "", EMPTY, EMPTY, EMPTY, EMPTY, EMPTY);
  } finally {
    binding.close(loop);
  }
}

test("what the addon has not made is no trust store, whatever it is", async () => {
  const trust = binding.tlsTrust(pkiFile("ca.pem"), false);
  assert.equal(typeof makeContext(trust), "number");

  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const handle = (server as unknown as { _handle: { _externalStream: unknown } })._handle;
  const others: [string, unknown][] = [
    ["an external of another maker", handle._externalStream],
    ["a wrapped object of another maker", handle],
    ["an object", {}],
    ["one that inherits from a trust store", Object.create(trust as object)],
    ["a function", () => {}],
    ["bytes", Buffer.alloc(64)],
    ["a number", 1],
    ["undefined", undefined],
    ["null", null],
    ["a proxy", new Proxy(trust as object, {})],
  ];
  try {
    for (const [what, other] of others) {
      assert.throws(() => makeContext(other), { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" }, what);
    }
  } finally {
    server.close();
  }
});
