import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";

/**
 * One function from the forms in which EventMachine takes callbacks: a function comes back as it is, an object and the
 * name of its method as that method, bound. Throws ArgumentError for anything else. (EventMachine::Callback.)
 */
export function Callback<A extends unknown[], R>(callback: (...args: A) => R): (...args: A) => R;
export function Callback<O, K extends keyof O>(
  object: O,
  method: K,
): O[K] extends (...args: infer A) => infer R ? (...args: A) => R : never;
export function Callback(target: unknown, method?: PropertyKey): unknown {
  if (method === undefined) {
    if (typeof target === "function") return target;
    throw new ArgumentError(`callback must be a function, not ${describe(target)}`);
  }
  const found: unknown = (target as Record<PropertyKey, unknown> | null | undefined)?.[method];
  if (typeof found === "function") return found.bind(target);
  throw new ArgumentError(`${describe(target)} has no method ${describe(method)}`);
}
