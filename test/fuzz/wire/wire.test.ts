import assert from "node:assert/strict";
import { test } from "node:test";
import { EventMachineError, TlsError } from "eventmachine";
import { Random } from "../../support/random.js";
import { gather } from "./corpus.js";
import { encodeHello, inRecords, parseHello } from "./hello.js";
import { mutateHello, mutateRecord } from "./mutate.js";
import { RecordCutter } from "./records.js";
import { faultOf } from "./target.js";

test("a hello comes out of its parts as it went in, and mutated otherwise, by the seed", async () => {
  const { hellos, flights } = await gather();
  assert.ok(hellos.length > 10);
  assert.ok(flights.every(({ length }) => length > 50));
  for (const hello of hellos) {
    const again = inRecords(encodeHello(parseHello(hello)), 16_384);
    assert.deepEqual(again.subarray(5), hello.subarray(5));
  }
  const [hello] = hellos as [Buffer];
  const mutated = Array.from({ length: 50 }, (_, seed) => mutateHello(hello, new Random(seed)));
  assert.deepEqual(mutateHello(hello, new Random(3)), mutated[3]);
  assert.ok(mutated.filter((bytes) => bytes.subarray(5).equals(hello.subarray(5))).length < 25);
});

test("records are cut out of any chunks", () => {
  const stream = Buffer.from("16030300020102170303000114", "hex");
  const cutter = new RecordCutter();
  const records = [...stream].flatMap((byte) => cutter.take(Buffer.from([byte])));
  assert.deepEqual(Buffer.concat(records), stream);
  assert.equal(records.length, 2);
  assert.deepEqual(mutateRecord(stream, new Random(1)), mutateRecord(stream, new Random(1)));
});

test("ends that no attack may have are told", () => {
  assert.equal(faultOf({ kind: "peer-closed" }), undefined);
  assert.equal(faultOf({ kind: "tls-error", error: new TlsError("ERR_EM_TLS_HANDSHAKE", "no") }), undefined);
  assert.match(faultOf({ kind: "handler-error", error: new Error("no") }) ?? "", /ended with handler-error/);
  assert.match(faultOf({ kind: "tls-error", error: new TlsError("ERR_EM_TLS_FILE", "no") }) ?? "", /has the code/);
  assert.match(faultOf({ kind: "tls-error", error: new EventMachineError("E", "") as never }) ?? "", /is none/);
});
