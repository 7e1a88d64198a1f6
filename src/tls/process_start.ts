import { readFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

/**
 * What this process was started with. `process.env` may have changed since, and a worker may have been given an environment and
 * arguments of its own: Node's trust heeds neither. Where the system does not tell, they are what there is.
 */

/** Node's options that take the next argument for their value. */
const WITH_VALUE =
  /^(-r|-C|-e|-p|-pe|--(require|import|loader|experimental-loader|conditions|env-file|eval|print|title|input-type|icu-data-dir|openssl-config|inspect-port|stack-trace-limit|unhandled-rejections|dns-result-order|disable-warning))$/;

let variables: ReadonlyMap<string, string> | undefined;

/** A variable of the environment, as it was then; undefined where it was not there. */
export function startVariable(name: string): string | undefined {
  if (variables === undefined) {
    const pairs = (ofProcess("environ") ?? []).map((pair): [string, string] => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), pair.slice(at + 1)];
    });
    variables = new Map(pairs);
  }
  return variables.size > 0 ? variables.get(name) : process.env[name];
}

/** Whether a switch of Node's was on: NODE_OPTIONS come first, then the command line; the last counts, and underscores are dashes. */
export function startedWith(name: string): boolean {
  const options = (startVariable("NODE_OPTIONS") ?? "").replaceAll('"', "").split(/\s+/);
  const given = [...options, ...argumentsOfNode()].map((each) => each.replaceAll("_", "-"));
  return given.lastIndexOf(`--${name}`) > given.lastIndexOf(`--no-${name}`);
}

function argumentsOfNode(): readonly string[] {
  const [, ...all] = isMainThread ? [] : (ofProcess("cmdline") ?? []);
  const own: string[] = [...process.execArgv];
  for (let at = 0; at < all.length; at++) {
    const each = all[at] as string;
    if (!each.startsWith("-") || each === "--") break;
    own.push(each);
    if (WITH_VALUE.test(each.replaceAll("_", "-"))) at++;
  }
  return own;
}

function ofProcess(file: "environ" | "cmdline"): string[] | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return readFileSync(`/proc/self/${file}`, "latin1").split("\0");
  } catch {
    return undefined;
  }
}
