import { constants } from "node:os";
import { types } from "node:util";
import { checkBoolean, checkCount, checkDuration, checkObject, checkSignal } from "../base/checks.js";
import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames, checkOptions, type Names } from "../base/known_names.js";
import { COMMAND_OUTPUT_LIMIT, KILL_DELAY } from "../base/limits.js";
import { checkStreamOptions, type StreamOptions, type StreamSettings } from "./options.js";
import { readOptions } from "./table.js";

/** A program and its arguments: a list, or text that is split into words as a shell would, without being given to one. */
export type Command = string | readonly string[];

/** How a child process is run, and what its connection has of other streams' options. Times in milliseconds. */
export interface PopenOptions
  extends Pick<
    StreamOptions,
    | "highWaterMark"
    | "lowWaterMark"
    | "outboundLimit"
    | "lingerTimeout"
    | "commInactivityTimeout"
    | "firstByteTimeout"
    | "readTimeout"
    | "writeTimeout"
    | "lifetimeTimeout"
  > {
  /** Have `/bin/sh` run the command, which must be text. Never with text that somebody else has written. Default false. */
  shell?: boolean;
  /** The folder it runs in. Default: this process's. */
  cwd?: string;
  /** Its whole environment. Default: this process's. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Make it the leader of a session and a process group, and signal the whole group. Default false. */
  processGroup?: boolean;
  /**
   * What becomes of its standard error: `receiveError` is given it, it goes where this process's goes, or nowhere. Default: "receive"
   * where the handler has a `receiveError`, else "inherit".
   */
  errorOutput?: "receive" | "inherit" | "ignore";
  /** The most bytes it may put out in all, standard error included, before it is ended (reason `output-limit`). Default: no bound. */
  outputLimit?: number;
  /** What asks it to end. Default SIGTERM. */
  terminationSignal?: NodeJS.Signals;
  /** How long it may take to end after that, before it is killed. Default 5 s. */
  killDelay?: number;
}

/** How `system` runs a command. Times in milliseconds. */
export interface SystemOptions
  extends Pick<
    PopenOptions,
    "shell" | "cwd" | "env" | "processGroup" | "errorOutput" | "outputLimit" | "terminationSignal" | "killDelay"
  > {
  /** What it is given as its standard input, which ends behind that. Default: nothing. */
  input?: Uint8Array | string;
  /** The most bytes it may put out in all, standard error included. Default 16 MiB. */
  outputLimit?: number;
  /** Ends it when it has run for so long, with `ERR_EM_TIMEOUT`. Default 0: no limit. */
  timeout?: number;
  /** Ends it when it aborts; the promise rejects with its reason. */
  signal?: AbortSignal;
}

type Row<T> = { readonly check: (value: unknown, name: string) => T; readonly otherwise: T };

function row<T>(check: (value: unknown, name: string) => T, otherwise: T): Row<T> {
  return { check, otherwise };
}

type Environment = Readonly<Record<string, string | undefined>>;

const TABLE = {
  shell: row(checkBoolean, false),
  cwd: row<string | undefined>(checkText, undefined),
  env: row<Environment | undefined>(checkEnvironment, undefined),
  processGroup: row(checkBoolean, false),
  errorOutput: row<PopenOptions["errorOutput"]>(checkErrorOutput, undefined),
  outputLimit: row(checkCount, Number.POSITIVE_INFINITY),
  terminationSignal: row<NodeJS.Signals>(checkSignalName, "SIGTERM"),
  killDelay: row(checkDuration, KILL_DELAY),
};

/** The names of `PopenOptions`. */
export const POPEN_OPTIONS: Names<PopenOptions> = {
  highWaterMark: true,
  lowWaterMark: true,
  outboundLimit: true,
  lingerTimeout: true,
  commInactivityTimeout: true,
  firstByteTimeout: true,
  readTimeout: true,
  writeTimeout: true,
  lifetimeTimeout: true,
  ...(Object.fromEntries(Object.keys(TABLE).map((name) => [name, true])) as Record<keyof typeof TABLE, true>),
};

const SYSTEM_OPTIONS: Names<SystemOptions> = {
  shell: true,
  cwd: true,
  env: true,
  processGroup: true,
  errorOutput: true,
  outputLimit: true,
  terminationSignal: true,
  killDelay: true,
  input: true,
  timeout: true,
  signal: true,
};

const POPEN: Names<PopenOptions | { command: 1; onConnection: 1 }> = {
  command: true,
  onConnection: true,
  ...POPEN_OPTIONS,
};

/** What a child process is run with, checked and complete. */
export interface PopenSettings {
  /** The program and its arguments; with `shell` what the shell is to run, alone. */
  readonly words: readonly [string, ...string[]];
  readonly shell: boolean;
  readonly cwd: string | undefined;
  readonly env: Environment | undefined;
  readonly processGroup: boolean;
  readonly errorOutput: PopenOptions["errorOutput"];
  readonly outputLimit: number;
  readonly terminationSignal: NodeJS.Signals;
  readonly killDelay: number;
  /** For the connection. */
  readonly life: StreamSettings;
}

/** A command alone, or in an object with options. */
export function readCommand<G extends { command: Command }>(command: Command | G): { command: Command } | G {
  const isAlone = typeof command !== "object" || command === null || Array.isArray(command);
  return isAlone ? { command: command as Command } : (command as G);
}

/** Checks what `popen` is given; `split` makes words of text. */
export function checkPopen(
  given: { command: Command } & PopenOptions,
  split: (line: string) => readonly string[],
): PopenSettings {
  checkNames(given, POPEN, "command");
  const options = readOptions(TABLE, given);
  const words = checkCommand(given.command, options.shell, split);
  return { ...options, words, life: { ...checkStreamOptions(given), halfOpen: true } };
}

/** What `system` is given, checked and complete. */
export interface SystemSettings {
  readonly popen: PopenSettings;
  readonly input: Uint8Array | string | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** Checks what `system` is given. */
export function checkSystem(
  command: Command,
  options: SystemOptions,
  split: (line: string) => readonly string[],
): SystemSettings {
  checkOptions(options, SYSTEM_OPTIONS);
  const { input, timeout = 0, signal, ...given } = options;
  if (input !== undefined && typeof input !== "string" && !types.isUint8Array(input)) {
    throw new ArgumentError(`input must be a string, or bytes in a Uint8Array, not ${describe(input)}`);
  }
  const popen = checkPopen({ outputLimit: COMMAND_OUTPUT_LIMIT, errorOutput: "receive", ...given, command }, split);
  return { popen, input, timeout: checkDuration(timeout, "timeout"), signal: checkSignal(signal) };
}

function checkCommand(
  command: unknown,
  shell: boolean,
  split: (line: string) => readonly string[],
): readonly [string, ...string[]] {
  if (typeof command === "string") {
    checkText(command, "command");
    const words = shell ? [command] : split(command);
    if (words[0] === undefined || words[0].trim() === "") {
      throw new ArgumentError(`command must name a program, not ${describe(command)}`);
    }
    return words as [string, ...string[]];
  }
  if (!Array.isArray(command)) {
    throw new ArgumentError(`command must be a string or an array of strings, not ${describe(command)}`);
  }
  if (shell) throw new ArgumentError("command must be a string for a shell, not an array");
  for (const [index, word] of command.entries()) checkText(word, `command[${index}]`);
  if (command.length === 0 || command[0] === "") throw new ArgumentError("command must name a program, and is empty");
  return [...command] as [string, ...string[]];
}

/** Text that may go to `execve`. */
function checkText(value: unknown, name: string): string {
  if (typeof value !== "string") throw new ArgumentError(`${name} must be a string, not ${describe(value)}`);
  if (value.includes("\0")) throw new ArgumentError(`${name} must not contain a NUL: ${describe(value)}`);
  return value;
}

function checkEnvironment(value: unknown, name: string): Environment {
  checkObject(value, name);
  for (const [key, entry] of Object.entries(value as object)) {
    if (key === "" || /[=\0]/.test(key)) {
      throw new ArgumentError(`${name} must have names without "=" and NUL, not ${describe(key)}`);
    }
    if (entry !== undefined) checkText(entry, `${name}.${key}`);
  }
  return { ...(value as Environment) };
}

function checkErrorOutput(value: unknown, name: string): NonNullable<PopenOptions["errorOutput"]> {
  if (value === "receive" || value === "inherit" || value === "ignore") return value;
  throw new ArgumentError(`${name} must be "receive", "inherit" or "ignore", not ${describe(value)}`);
}

/** The name of a signal that this system has. */
export function checkSignalName(value: unknown, name: string): NodeJS.Signals {
  if (typeof value === "string" && Object.hasOwn(constants.signals, value)) return value as NodeJS.Signals;
  throw new ArgumentError(`${name} must be the name of a signal, such as "SIGTERM", not ${describe(value)}`);
}
