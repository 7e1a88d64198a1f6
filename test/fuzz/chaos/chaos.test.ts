import assert from "node:assert/strict";
import { test } from "node:test";
import { EventMachineError } from "eventmachine";
import { Flow } from "./flow.js";
import { faultOfError, faultOfReason, lossTo } from "./invariants.js";
import { Pair } from "./pair.js";
import { Plan, type Step } from "./plan.js";

/** The checks of a fuzzer that finds nothing have to be seen to find something. */

test("a flow takes what was sent, in whatever pieces", () => {
  const flow = new Flow();
  const sent = Buffer.concat([flow.give(5), flow.give(70_000)]);
  flow.giveFile(3);
  assert.equal(flow.take(sent.subarray(0, 6)), undefined);
  assert.equal(flow.take(sent.subarray(6)), undefined);
  assert.equal(flow.isQuiet, false);
  assert.equal(flow.take(new Flow().give(3)), undefined);
  assert.equal(flow.isQuiet, true);
});

test("a flow tells bytes that are missing, changed or repeated", () => {
  const changes: readonly ((sent: Buffer) => Buffer)[] = [
    (sent) => Buffer.concat([sent.subarray(0, 99), sent.subarray(100)]),
    (sent) => Buffer.concat([sent, sent]),
    (sent) => Buffer.from(sent).fill(0xee, 50, 51),
  ];
  for (const change of changes) {
    const flow = new Flow();
    assert.match(flow.take(change(flow.give(1000))) ?? "", /other bytes|nobody sent/);
  }
});

test("bytes that did not come are a loss where the sender's end was orderly, and only there", () => {
  const { client, server } = new Pair(1, "tcp");
  client.out.give(10);
  const closed = { kind: "peer-closed" } as const;
  const orderly = { kind: "local-close", lingerExpired: false } as const;
  assert.match(lossTo("native", server, closed, orderly) ?? "", /10 bytes and its FIN .*, 0 came/);
  assert.equal(lossTo("native", server, { kind: "stop" }, orderly), undefined);
  assert.equal(lossTo("native", server, closed, { kind: "local-close", lingerExpired: true }), undefined);
  client.endsWhole = false;
  assert.equal(lossTo("native", server, closed, orderly), undefined);
});

test("reasons and errors that are not of the package are told", () => {
  assert.equal(faultOfReason({ kind: "stop" }), undefined);
  assert.equal(faultOfReason({ kind: "system-error", error: new EventMachineError("EIO", "lost") }), undefined);
  assert.match(faultOfReason({ kind: "system-error", error: new TypeError("no") as never }) ?? "", /no error of ours/);
  assert.match(faultOfError(new TypeError("no")) ?? "", /not an error of ours/);
});

test("a seed has one plan, and a smaller count is the beginning of it", () => {
  const steps = (seed: number, count: number): Step[] => {
    const plan = new Plan(seed);
    return Array.from({ length: count }, () => plan.next());
  };
  assert.deepEqual(steps(7, 500).slice(0, 100), steps(7, 100));
  assert.notDeepEqual(steps(7, 100), steps(8, 100));
});
