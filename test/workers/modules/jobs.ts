/** What tests have threads do. */

export const add = (left: number, right: number): number => left + right;

export function fail(): never {
  throw Object.assign(new RangeError("too far", { cause: new Error("the cause") }), { code: "EFAR", detail: 7 });
}

export const notOne = 7;

export default (text: string): string => text.toUpperCase();
