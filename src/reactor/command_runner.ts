import { availableParallelism } from "node:os";
import { checkInteger } from "../base/checks.js";
import { checkOptions, type Names } from "../base/known_names.js";
import { POOL_WAITING_LIMIT } from "../base/limits.js";
import { begun } from "../base/outcome.js";
import { type Command, checkSystem, type SystemOptions } from "../options/popen_options.js";
import type { SystemResult } from "../process/command_child.js";
import { shellWords } from "../process/shell_words.js";
import { Pool } from "../toolbox/pool.js";
import { reactor } from "./default_reactor.js";

/** What a `CommandRunner` may be given. */
export interface CommandRunnerOptions {
  /** The most commands that run at a time, from 1 to 1024. Default: as many as there are processors. */
  concurrency?: number;
  /** The most that wait; one more is refused with `ERR_EM_POOL_WAITING_LIMIT`. Default 1024. */
  waitingLimit?: number;
}

const MOST_AT_ONCE = 1024;
const OPTIONS: Names<CommandRunnerOptions> = { concurrency: true, waitingLimit: true };

/**
 * Runs commands as `system` does, so many at a time; the others wait, first come, first served.
 *
 * ```ts
 * const runner = new CommandRunner({ concurrency: 4 });
 * const files = ["one.log", "two.log", "three.log"];
 * const results = await Promise.all(files.map((file) => runner.run(["gzip", "-k", file])));
 * ```
 */
export class CommandRunner {
  readonly #places: Pool<number>;
  readonly #concurrency: number;

  /** Throws ArgumentError for options it cannot take. */
  constructor(options: CommandRunnerOptions = {}) {
    checkOptions(options, OPTIONS);
    const { concurrency = availableParallelism(), waitingLimit = POOL_WAITING_LIMIT } = options;
    this.#concurrency = checkInteger(concurrency, "concurrency", 1, MOST_AT_ONCE);
    this.#places = new Pool({ waitingLimit });
    for (let place = 0; place < concurrency; place++) this.#places.add(place);
  }

  /** Commands that run. */
  get numRunning(): number {
    return this.#concurrency - this.#places.numFree;
  }

  /** Commands that wait for one of those to end. */
  get numWaiting(): number {
    return this.#places.numWaiting;
  }

  /**
   * Runs a command, as it is given now, when its turn comes, on the reactor that is the current one now; rejects as `system` does, with the reason of
   * `signal` also while it waits, and with LimitError `ERR_EM_POOL_WAITING_LIMIT`.
   */
  run(command: Command, options: SystemOptions = {}): Promise<SystemResult> {
    return begun(() => {
      const { popen, input, signal } = checkSystem(command, options, shellWords);
      const current = reactor();
      // It may wait, and what it was given may change meanwhile.
      const given = typeof command === "string" ? command : popen.words;
      const kept: SystemOptions = { ...options };
      if (popen.env !== undefined) kept.env = popen.env;
      if (typeof input === "object") kept.input = Uint8Array.from(input);
      return this.#places.perform(() => current.system(given, kept), { signal });
    });
  }
}
