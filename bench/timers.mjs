// What does a timer cost that is added and cancelled before it fires, which is the life of most timeouts?
//
//   node bench/timers.mjs eventmachine|setTimeout held|in-turn
//
// held:    a million timers with delays from 1 to 60 s are added, then all are cancelled.
// in-turn: each is cancelled before the next is added.
// Prints the process's CPU time (user and system, all threads) in nanoseconds a timer, after a warm-up of a tenth.
import { addTimer, cancelTimer, run } from "eventmachine";

const COUNT = 1_000_000;
const [kind, shape] = process.argv.slice(2);
const nothing = () => {};

function held(add, cancel, count) {
  const timers = new Array(count);
  for (let i = 0; i < count; i++) timers[i] = add(i);
  for (let i = 0; i < count; i++) cancel(timers[i]);
}

function inTurn(add, cancel, count) {
  for (let i = 0; i < count; i++) cancel(add(i));
}

const delay = (i) => 1_000 + ((i * 7919) % 59_000);

function measure(add, cancel) {
  const play = shape === "held" ? held : inTurn;
  play(add, cancel, COUNT / 10);
  const before = process.cpuUsage();
  play(add, cancel, COUNT);
  const { user, system } = process.cpuUsage(before);
  console.log(((user + system) * 1000) / COUNT);
}

if (kind === "setTimeout") {
  measure((i) => setTimeout(nothing, delay(i)), clearTimeout);
} else {
  await run((reactor) => {
    measure((i) => addTimer(delay(i), nothing), cancelTimer);
    reactor.stop();
  });
}
