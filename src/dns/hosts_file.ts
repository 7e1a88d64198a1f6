import type { BigIntStats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { EventMachineError } from "../base/errors.js";
import { readHost, spell } from "../base/host_names.js";
import { HOSTS_CHECK_INTERVAL, MAX_HOSTS_FILE } from "../base/limits.js";

/** Where the system keeps the names it knows without asking. */
export const SYSTEM_HOSTS =
  process.platform === "win32"
    ? join(process.env.SystemRoot ?? "C:\\Windows", "System32", "drivers", "etc", "hosts")
    : "/etc/hosts";

/** A hosts file: names by address, and addresses by name. */
export class HostsTable {
  readonly addresses = new Map<string, string[]>();
  readonly names = new Map<string, string[]>();

  /** Lines that are none are passed over, as the system does: an address and its names, `#` and what follows it left out. */
  static parse(text: string): HostsTable {
    const table = new HostsTable();
    // A list of blocked names gives thousands of names to one address: no list is searched for each of them.
    const seen = new Set<string>();
    const add = (entries: Map<string, string[]>, key: string, value: string): void => {
      const entry = `${key} ${value}`;
      if (seen.has(entry)) return;
      seen.add(entry);
      const found = entries.get(key);
      if (found === undefined) entries.set(key, [value]);
      else found.push(value);
    };
    for (const line of text.split("\n")) {
      const [given = "", ...names] = (line.split("#", 1)[0] as string).trim().split(/\s+/);
      const address = readHost(given);
      if (address?.family === undefined) continue;
      for (const each of names) {
        const name = readHost(each);
        if (name === undefined || name.family !== undefined) continue;
        add(table.addresses, name.text, spell(address));
        add(table.names, address.text, name.text);
      }
    }
    return table;
  }
}

const EMPTY = new HostsTable();

/**
 * A hosts file, read again when it has changed: it is looked at when somebody asks, at most once in a while. One that is not there, or
 * may not be read, has no names.
 */
export class HostsFile {
  readonly #path: string;
  readonly #now: () => number;
  readonly #changed: () => void;
  #table = EMPTY;
  /** What the file looked like when it was read; empty for none. */
  #read = "";
  /** What it looked like when it was looked at last. */
  #seen: string | undefined;
  /** Why what was looked at last is not read. */
  #refusal: unknown;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | undefined;
  #reading: Promise<void> | undefined;

  /** `changed` is called when it is another file, or another content, than last time. */
  constructor(path: string, now: () => number, changed: () => void) {
    this.#path = path;
    this.#now = now;
    this.#changed = changed;
  }

  /** Whether it was looked at lately. */
  get isFresh(): boolean {
    return this.#now() - this.#checkedAt < HOSTS_CHECK_INTERVAL;
  }

  /** Looks whether it has changed, where that was not done lately. */
  async check(): Promise<void> {
    if (this.isFresh) return;
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** What stands in it now; it is read when that is asked for. Rejects with `EFBIG` for what is no file, or too large a one. */
  async table(): Promise<HostsTable> {
    await this.check();
    if (this.#refusal !== undefined) throw this.#refusal;
    while (this.#read !== this.#seen) {
      this.#reading ??= this.#readTable(this.#seen as string).finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    return this.#table;
  }

  async #check(): Promise<void> {
    const seen = await this.#look();
    const isOther = this.#seen !== undefined && seen !== this.#seen;
    this.#seen = seen;
    this.#checkedAt = this.#now();
    if (isOther) this.#changed();
  }

  async #readTable(seen: string): Promise<void> {
    this.#table = seen === "" ? EMPTY : HostsTable.parse(await readable(readFile(this.#path, "utf8"), ""));
    this.#read = seen;
  }

  /** Which file and which state of it; empty for none. */
  async #look(): Promise<string> {
    this.#refusal = undefined;
    let found: BigIntStats | undefined;
    try {
      found = await readable(stat(this.#path, { bigint: true }), undefined);
    } catch (error) {
      this.#refusal = error;
    }
    if (found === undefined) return "";
    if (!found.isFile() || found.size > MAX_HOSTS_FILE) {
      const message = `a hosts file must be a file of at most ${MAX_HOSTS_FILE} bytes: ${this.#path}`;
      this.#refusal = new EventMachineError("EFBIG", message, { syscall: "stat", address: this.#path });
    }
    return `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
  }
}

/** What is not there, or is not to be read, is as good as empty: the system's own resolver takes it so. */
async function readable<T, N>(work: Promise<T>, none: N): Promise<T | N> {
  try {
    return await work;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (["ENOENT", "ENOTDIR", "EACCES", "EPERM", "ERR_ACCESS_DENIED"].includes(code)) return none;
    throw error;
  }
}
