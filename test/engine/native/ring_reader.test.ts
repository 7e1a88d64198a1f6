import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineEvents } from "../../../src/engine/engine.js";
import type { Binding } from "../../../src/engine/native/binding.js";
import { EVENTS_AT, Event, Figure, MAX_EVENTS, Word } from "../../../src/engine/native/layout.js";
import type { LentBytes } from "../../../src/engine/native/lent_bytes.js";
import type { NativeTls } from "../../../src/engine/native/native_tls.js";
import type { SharedViews } from "../../../src/engine/native/ring.js";
import { RingReader } from "../../../src/engine/native/ring_reader.js";

/** Reads a batch of events that are all of one kind, and returns with what `timer` was told each time. */
function read(kind: number, words: Partial<Record<keyof typeof Word, number>>, seenAt: number): number[] {
  const told: number[] = [];
  const events = { enter: () => {}, leave: () => {}, timer: (at: number) => told.push(at) };
  const views = {
    words: new Int32Array(EVENTS_AT / 4),
    events: new Int32Array(MAX_EVENTS * 4).fill(kind),
    flags: new Uint8Array(1),
    figures: new Float64Array(EVENTS_AT / 8),
  };
  for (const [word, value] of Object.entries(words)) views.words[Word[word as keyof typeof Word]] = value;
  views.figures[Figure.seenAt] = seenAt;
  const lending = { slab: Buffer.alloc(1) } as unknown as LentBytes;
  const reader = new RingReader({} as Binding, lending, {} as NativeTls);
  reader.start(0, views as unknown as SharedViews, events as unknown as EngineEvents, 0);
  reader.dispatch();
  return told;
}

test("a deadline is seen at a time that has been, whatever the shared memory says", () => {
  for (const seenAt of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e308, -1e308, -1]) {
    const before = performance.now();
    const [at, ...others] = read(Event.timer, { eventCount: 1 }, seenAt);
    assert.ok(at !== undefined && at >= before && at <= performance.now(), `${seenAt} became ${at}`);
    assert.equal(others.length, 0);
  }
  assert.deepEqual(read(Event.timer, { eventCount: 1 }, 0.5), [0.5]);
});

test("no more events are read than the ring holds, whatever the shared memory says", () => {
  const tooMany = [{ eventCount: 2 ** 31 - 1 }, { eventCount: MAX_EVENTS, eventsRead: -(2 ** 31) }];
  for (const words of tooMany) assert.equal(read(Event.timer, words, 0.5).length, MAX_EVENTS);
  assert.equal(read(Event.timer, { eventCount: -1 }, 0.5).length, 0);
  assert.equal(read(Event.timer, { eventCount: 3, eventsRead: 2 ** 31 - 1 }, 0.5).length, 0);
});
