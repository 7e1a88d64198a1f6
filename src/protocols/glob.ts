import { isAbsolute, join, resolve, sep } from "node:path";
import { ArgumentError } from "../base/errors.js";

/** A pattern of paths: the folder that all of them are below, and how they go on. */
export interface Glob {
  readonly folder: string;
  /** Whether it reaches into folders below. */
  readonly isDeep: boolean;
  /** Whether a path below the folder, with slashes, is meant. */
  matches(path: string): boolean;
}

const WILD = /[*?[]/;

/**
 * Reads a pattern: `*` is any characters of a name, `?` one of them, `[a-z]` and `[!a-z]` one of a set, `**` any folders. A name that begins with a
 * dot is meant only where the pattern has the dot.
 */
export function readGlob(pattern: string): Glob {
  const full = isAbsolute(pattern) ? pattern : join(resolve("."), pattern);
  const segments = full.split(sep).filter((segment) => segment !== "" && segment !== ".");
  const first = segments.findIndex((segment) => WILD.test(segment));
  if (first === -1) throw new ArgumentError(`glob must have a wildcard (*, ? or [); ${pattern} is a path`);
  if (segments.includes("..", first)) throw new ArgumentError("glob must not have .. behind a wildcard");
  const wild = segments.slice(first);
  const expression = new RegExp(
    `^${wild.map((segment, at) => segmentPattern(segment, at === wild.length - 1)).join("")}$`,
    "u",
  );
  return {
    folder: `/${segments.slice(0, first).join("/")}`,
    isDeep: wild.length > 1,
    matches: (path) => expression.test(path),
  };
}

function segmentPattern(segment: string, isLast: boolean): string {
  if (segment === "**") return isLast ? "(?:[^/.][^/]*/)*[^/.][^/]*" : "(?:[^/.][^/]*/)*";
  let text = WILD.test(segment.charAt(0)) ? "(?!\\.)" : "";
  for (let at = 0; at < segment.length; at++) {
    const character = segment.charAt(at);
    const close = segment.indexOf("]", at + 2);
    if (character === "*") text += "[^/]*";
    else if (character === "?") text += "[^/]";
    else if (character === "[" && close !== -1) {
      const isNot = segment.charAt(at + 1) === "!" || segment.charAt(at + 1) === "^";
      const set = segment.slice(at + (isNot ? 2 : 1), close).replace(/[\\\]^[]/g, "\\$&");
      text += `(?!/)[${isNot ? "^" : ""}${set}]`;
      at = close;
    } else text += character.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  }
  return isLast ? text : `${text}/`;
}
