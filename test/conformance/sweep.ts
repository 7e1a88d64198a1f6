import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type Connection, EventMachineError, Timer } from "eventmachine";
import { pattern } from "../support/bytes.js";
import type { Trial } from "../support/trial.js";

/**
 * Every public member of every public class, in every state, with right arguments and with all sorts of wrong ones:
 * what comes out is a documented value or an EventMachineError, and never anything else.
 */

export type Check = (value: unknown) => boolean;

export interface Member {
  /** Argument lists that are right; of each one every position is also tried with everything in WRONG. */
  readonly calls?: readonly (readonly unknown[])[];
  /** Values to set; WRONG is tried too. */
  readonly sets?: readonly unknown[];
  /** What a call returns, or resolves to, or a getter gives. */
  readonly gives: Check;
}

const WRONG: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  -1,
  1.5,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  7n,
  true,
  "",
  "text",
  Symbol("symbol"),
  {},
  [],
  [null],
  () => {},
  new Date(0),
  Object.create(null),
  new Proxy({}, {}),
];

/** Members that are symbols, by the names the tables give them. */
const SYMBOLS = {
  asyncDispose: Symbol.asyncDispose,
  dispose: Symbol.dispose,
  asyncIterator: Symbol.asyncIterator,
};

export const nothing: Check = (value) => value === undefined;
export const size: Check = (value) => typeof value === "number" && value >= 0;
export const flag: Check = (value) => typeof value === "boolean";
export const text: Check = (value) => typeof value === "string";
export const address: Check = (value) => value === undefined || text((value as { family: unknown }).family);

/** No arguments, those given, and each of them replaced by each wrong value. */
function* argumentLists(calls: readonly (readonly unknown[])[]): Generator<readonly unknown[]> {
  yield [];
  for (const right of calls) {
    yield right;
    for (const position of right.keys()) {
      for (const wrong of WRONG) yield right.map((value, at) => (at === position ? wrong : value));
    }
  }
}

/** Does it, and says what was wrong with the outcome, if anything. */
export async function outcome(action: () => unknown, gives: Check): Promise<string | undefined> {
  let value: unknown;
  try {
    value = action();
    if (value instanceof Promise) value = await value;
  } catch (error) {
    return error instanceof EventMachineError ? undefined : `threw ${error}`;
  }
  try {
    return gives(value) ? undefined : `gave ${inspect(value)}`;
  } catch {
    return `gave ${inspect(value)}`;
  }
}

/** Every use of every member on objects that `on` makes: a fresh one for each, since most uses change it. */
export async function sweep(
  members: Record<string, Member>,
  use: (what: string, action: (on: never) => unknown, gives: Check) => Promise<void>,
): Promise<void> {
  for (const [name, { calls, sets, gives }] of Object.entries(members)) {
    const key = (SYMBOLS as Record<string, symbol>)[name] ?? name;
    if (calls !== undefined) {
      for (const list of argumentLists(calls)) {
        const what = `${name}(${list.map((value) => inspect(value, { depth: 0 })).join(", ")})`;
        await use(
          what,
          (on: never) => (on as Record<PropertyKey, (...args: unknown[]) => unknown>)[key]?.(...list),
          gives,
        );
      }
    } else await use(name, (on: never) => on[key as never], gives);
    for (const value of sets === undefined ? [] : [...sets, ...WRONG]) {
      const set = (on: never) => {
        (on as Record<PropertyKey, unknown>)[key] = value;
      };
      await use(`${name} = ${inspect(value, { depth: 0 })}`, set, nothing);
    }
  }
}

/** The table must name every member that the class has: a new one cannot be forgotten. */
export function checkComplete(prototype: object, members: Record<string, Member>, apart: readonly string[]): void {
  const has = Reflect.ownKeys(prototype)
    .filter((key) => key !== "constructor" && String(key) !== "Symbol(nodejs.util.inspect.custom)")
    .map((key) => Object.entries(SYMBOLS).find(([, symbol]) => symbol === key)?.[0] ?? String(key))
    .filter((key) => !apart.includes(key));
  assert.deepEqual(has.sort(), Object.keys(members).sort());
}

export const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

/** What a connection has whatever carries it: what calls give on a stream and on a datagram socket alike. */
export function commonMembers(): Record<string, Member> {
  const deadline: Member = { sets: [0, 60_000], gives: size };
  return {
    id: { gives: size },
    state: { gives: text },
    closeReason: { gives: (value) => value === undefined || text((value as { kind: unknown }).kind) },
    opened: { gives: nothing },
    remoteAddress: { gives: address },
    localAddress: { gives: address },
    bytesIn: { gives: size },
    bytesDiscarded: { gives: size },
    bytesOut: { gives: size },
    idleTime: { gives: size },
    sendData: { calls: [["data", "utf8"], [pattern(10)], [["a", pattern(3)]], [""]], gives: flag },
    isSecure: { gives: flag },
    outboundSize: { gives: size },
    pause: { calls: [], gives: nothing },
    resume: { calls: [], gives: nothing },
    isPaused: { gives: flag },
    closeConnection: { calls: [[true], [false]], gives: nothing },
    closeConnectionAfterWriting: { calls: [], gives: nothing },
    abort: { calls: [], gives: nothing },
    addTimer: { calls: [[10, () => {}]], gives: (value) => value instanceof Timer },
    commInactivityTimeout: deadline,
    firstByteTimeout: deadline,
    readTimeout: deadline,
    writeTimeout: deadline,
    lifetimeTimeout: deadline,
    lingerTimeout: deadline,
    highWaterMark: { gives: size },
    lowWaterMark: { gives: size },
    getSocketError: { calls: [], gives: optional((value) => value instanceof EventMachineError) },
  };
}

export interface Sweep<C extends Connection> {
  readonly members: Record<string, Member>;
  /** Brings a fresh connection to the state, and uses it there. */
  readonly reach: (use: (connection: C) => void) => void | Promise<void>;
  /** How many at a time. */
  readonly most: number;
  /** Right after a use: what settles only at the end is brought there. */
  readonly used?: (what: string, connection: C) => void;
}

/** Uses every member in one state, many at a time, and returns what went wrong. */
export async function sweepState<C extends Connection>(
  trial: Trial,
  { members, reach, most, used }: Sweep<C>,
): Promise<{ faults: string[]; uses: number }> {
  const faults: string[] = [];
  let uses = 0;
  let running: Promise<void>[] = [];
  const one = async (what: string, action: (on: never) => unknown, gives: Check): Promise<void> => {
    let result: Promise<string | undefined> | undefined;
    let connection: C | undefined;
    await reach((fresh) => {
      if (result !== undefined) return;
      connection = fresh;
      // Of the Connection itself: a recorder's own wrappers would count a refused reconnect as a life.
      result = outcome(() => action(fresh as never), gives);
    });
    await trial.until(() => result !== undefined, `the state for ${what} is reached`);
    used?.(what, connection as C);
    const fault = await result;
    if (fault !== undefined) faults.push(`${what} ${fault}`);
    (connection as C).closeConnection();
    uses++;
  };
  await sweep(members, async (what, action, gives) => {
    running.push(one(what, action, gives));
    if (running.length < most) return;
    await Promise.all(running);
    running = [];
  });
  await Promise.all(running);
  return { faults, uses };
}
