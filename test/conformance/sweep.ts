import assert from "node:assert/strict";
import { inspect } from "node:util";
import { EventMachineError } from "eventmachine";

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
