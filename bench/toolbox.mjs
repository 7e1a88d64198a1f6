// What does each tool of the toolbox cost beside the plainest JavaScript that does its job?
//
//   node bench/toolbox.mjs queue|channel|deferrable|ticks ours|plain
//
// queue:      2 million items are pushed into a Queue, then popped by callbacks; into a ring array and out of it.
// channel:    4,000 items go to 10,000 subscribers of a Channel; to a Set of functions.
// deferrable: a million Deferrables get a callback and a value; promises, with their resolvers at hand, a `then`.
// ticks:      a million callbacks are given to `nextTick`; to `queueMicrotask`. Until the last has run.
// Prints the process's CPU time (user and system, all threads) in nanoseconds an item (a delivery, for channel), after
// rounds of the same to warm up: while functions are still being compiled, that is what is measured.
import { Channel, Deferrable, Queue, run } from "eventmachine";

/** In the second one, functions are still compiled anew: its numbers and its memory are not those of the first. */
const WARM_UP_ROUNDS = 2;

const [row, side] = process.argv.slice(2);
let calls = 0;
let sum = 0;
const count = (item) => {
  calls++;
  // Within 32 bits: a sum that outgrew them would have the engine compile everything anew in the middle of a measurement.
  sum = (sum + item) | 0;
};

/** Grows by doubling, and no more than that. */
class RingArray {
  slots = new Array(16);
  head = 0;
  size = 0;

  push(item) {
    const { slots, head, size } = this;
    if (size === slots.length) {
      this.slots = new Array(2 * size);
      for (let i = 0; i < size; i++) this.slots[i] = slots[(head + i) & (size - 1)];
      this.head = 0;
    }
    this.slots[(this.head + this.size++) & (this.slots.length - 1)] = item;
  }

  shift() {
    const item = this.slots[this.head];
    this.slots[this.head] = undefined;
    this.head = (this.head + 1) & (this.slots.length - 1);
    this.size--;
    return item;
  }
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => {
    made.resolve = resolve;
    made.reject = reject;
  });
  return made;
}

const SUBSCRIBERS = 10_000;
/** As many functions as subscribers, not one of them the same. */
const subscribers = () => Array.from({ length: SUBSCRIBERS }, () => (item) => count(item));

const plays = {
  queue: {
    items: 2_000_000,
    ours(items) {
      const queue = new Queue();
      for (let i = 0; i < items; i++) queue.push(i);
      for (let i = 0; i < items; i++) queue.pop(count);
    },
    plain(items) {
      const ring = new RingArray();
      for (let i = 0; i < items; i++) ring.push(i);
      for (let i = 0; i < items; i++) count(ring.shift());
    },
  },
  channel: {
    items: 4_000 * SUBSCRIBERS,
    ours(items) {
      const channel = new Channel();
      for (const subscriber of subscribers()) channel.subscribe(subscriber);
      for (let i = 0; i < items / SUBSCRIBERS; i++) channel.push(i);
    },
    plain(items) {
      const set = new Set(subscribers());
      for (let i = 0; i < items / SUBSCRIBERS; i++) for (const subscriber of set) subscriber(i);
    },
  },
  deferrable: {
    items: 1_000_000,
    ours(items) {
      const made = [];
      for (let i = 0; i < items; i++) made.push(new Deferrable().callback(count));
      for (let i = 0; i < items; i++) made[i].succeed(i);
    },
    async plain(items) {
      const made = [];
      for (let i = 0; i < items; i++) {
        const one = withResolvers();
        one.promise.then(count);
        made.push(one);
      }
      for (let i = 0; i < items; i++) made[i].resolve(i);
      await made.at(-1).promise;
    },
  },
  ticks: {
    items: 1_000_000,
    ours: (items, reactor) => untilLast(items, (callback) => reactor.nextTick(callback)),
    plain: (items) => untilLast(items, queueMicrotask),
  },
};

function untilLast(items, later) {
  return new Promise((resolve) => {
    for (let i = 1; i < items; i++) later(() => count(i));
    later(resolve);
  });
}

const { items, [side]: play } = plays[row];
await run(async (reactor) => {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) await play(items, reactor);
  const before = process.cpuUsage();
  calls = 0;
  await play(items, reactor);
  const { user, system } = process.cpuUsage(before);
  // The last of the ticks is another callback.
  if (calls < items - 1 || sum === 0) throw new Error(`${calls} calls instead of ${items}`);
  console.log(((user + system) * 1000) / items);
  reactor.stop();
});
