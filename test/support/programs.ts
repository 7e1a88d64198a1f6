import { spawnSync } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs of other makes that tests talk to, and the Debian package of each. What they are is the same in README, CONTRIBUTING and .ci/packages. */
export const PACKAGES = {
  curl: "curl",
  dig: "bind9-dnsutils",
  dnsmasq: "dnsmasq-base",
  epmd: "rabbitmq-server", // Of the Erlang it runs on.
  initdb: "postgresql",
  mosquitto: "mosquitto",
  nc: "netcat-openbsd",
  openssl: "openssl",
  postgres: "postgresql",
  python3: "python3",
  "rabbitmq-server": "rabbitmq-server",
  "redis-server": "redis-server",
  ruby: "ruby-eventmachine",
  socat: "socat",
  ss: "iproute2",
  sslscan: "sslscan",
} as const;

export type ProgramName = keyof typeof PACKAGES;

/** Looked into first: the program of this name on root's PATH changes to another user, who may not use a test's folder. */
const FIRST = ["/usr/lib/rabbitmq/bin"];
/** Where Debian puts servers that are not on everybody's PATH. */
const FOLDERS = ["/usr/sbin", "/usr/bin", "/usr/local/bin", ...postgresFolders()];

/**
 * A test met a program that is not on this machine. The runner of the tests (scripts/test.mjs) knows it by these words: it
 * counts such a test apart, and names what to install at the end; where `CI` is true it is a failure.
 */
export class MissingProgram extends Error {
  constructor(name: ProgramName) {
    super(`needs the program ${name}: apt install ${PACKAGES[name]}`);
    this.name = "MissingProgram";
  }
}

/** The path of a program; throws MissingProgram. Every test that starts one asks here. */
export function needs(name: ProgramName): string {
  // Instead of the PATH and its additions: folders that hold the programs a test run shall find.
  const only = process.env.EVENTMACHINE_TEST_PROGRAMS;
  const folders =
    only === undefined ? [...FIRST, ...(process.env.PATH ?? "").split(delimiter), ...FOLDERS] : only.split(delimiter);
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  if (found === undefined || (name === "ruby" && !hasEventMachine(found))) throw new MissingProgram(name);
  return found;
}

/** The command as it is to be started: one of the list by its path, any other as it is. */
export function command(name: string): string {
  return Object.hasOwn(PACKAGES, name) ? needs(name as ProgramName) : name;
}

/**
 * What a program makes for several tests; where the program is missing, something in its place that throws MissingProgram
 * in each test that touches it, so that those that do not still run.
 */
export function unlessMissing<T extends object>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    return standIn(error);
  }
}

/** The same for what takes its time; `stop` of the stand-in does nothing. */
export async function startUnlessMissing<T extends object>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    return standIn(error);
  }
}

function standIn<T extends object>(error: unknown): T {
  if (!(error instanceof MissingProgram)) throw error;
  const refuse = (): never => {
    throw error;
  };
  // It passes through promises, which ask for `then`.
  const get = (_: object, name: string | symbol) =>
    name === "then" ? undefined : name === "stop" ? async () => {} : refuse();
  return new Proxy({}, { get, ownKeys: refuse, has: refuse }) as T;
}

const rubies = new Map<string, boolean>();

/** A Ruby without the gem is not what is asked for. */
function hasEventMachine(ruby: string): boolean {
  const known = rubies.get(ruby);
  if (known !== undefined) return known;
  const has = spawnSync(ruby, ["-e", 'require "eventmachine"'], { stdio: "ignore" }).status === 0;
  rubies.set(ruby, has);
  return has;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The newest first. */
function postgresFolders(): string[] {
  const root = "/usr/lib/postgresql";
  try {
    return readdirSync(root)
      .sort()
      .reverse()
      .map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}
