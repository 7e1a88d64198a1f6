import { Resolver as NodeResolver } from "node:dns/promises";
import { codeOf } from "../base/error_code.js";
import { HOSTS_CHECK_INTERVAL, SILENT_NAME_SERVER_LIFE } from "../base/limits.js";

/** How name servers are asked. Times in milliseconds. */
export interface AskingOptions {
  /** How long the first try may take; each later one takes twice as long as the one before. */
  readonly timeout: number;
  /** How often each server is tried. */
  readonly tries: number;
  readonly now: () => number;
}

/** The most of Node's resolvers that are kept. */
const MOST_KEPT = 256;

/** What one server says that another may know better. Names that are not there are not among it: they are not there. */
const ASK_ANOTHER = new Set(["ETIMEOUT", "ESERVFAIL", "EREFUSED", "ENOTIMP", "EFORMERR", "EBADRESP", "ECONNREFUSED"]);

/**
 * The name servers that a resolver asks, in their order: the next one when one before has not answered in time, or says that it can not
 * tell; then all of them again. One that was silent lately comes last. Node's resolver goes on to the next server for silence alone, so that there is
 * one of it for each server and try, made when it is needed: it has sockets, and reads the system's configuration.
 */
export class NameServers {
  readonly #options: AskingOptions;
  readonly #given: readonly string[] | undefined;
  readonly #asking = new Map<string, NodeResolver>();
  readonly #silentUntil = new Map<string, number>();
  #systems: readonly string[] = [];
  #systemsAt = Number.NEGATIVE_INFINITY;
  #running = 0;

  /** `given`: undefined for the system's. */
  constructor(given: readonly string[] | undefined, options: AskingOptions) {
    this.#given = given;
    this.#options = options;
  }

  /** The system's are read anew now and then, for they change with the network. */
  get addresses(): readonly string[] {
    if (this.#given !== undefined) return this.#given;
    const now = this.#options.now();
    if (now - this.#systemsAt >= HOSTS_CHECK_INTERVAL) {
      this.#systems = new NodeResolver().getServers();
      this.#systemsAt = now;
    }
    return this.#systems;
  }

  /** Whether questions are under way. */
  get isAsking(): boolean {
    return this.#running > 0;
  }

  async ask<T>(query: (node: NodeResolver) => Promise<T>): Promise<T> {
    this.#running++;
    try {
      return await this.#ask(query);
    } finally {
      this.#running--;
    }
  }

  async #ask<T>(query: (node: NodeResolver) => Promise<T>): Promise<T> {
    let failure: unknown;
    let isSilent = true;
    // What all of them have said plainly they would say again.
    for (let round = 0; round < this.#options.tries && isSilent; round++) {
      isSilent = false;
      for (const server of this.#inOrder()) {
        try {
          const answer = await query(this.#node(server, round));
          this.#silentUntil.delete(server);
          return answer;
        } catch (error) {
          const code = codeOf(error) ?? "";
          if (!ASK_ANOTHER.has(code)) throw error;
          failure = error;
          if (code !== "ETIMEOUT") continue;
          isSilent = true;
          this.#silentUntil.set(server, this.#options.now() + SILENT_NAME_SERVER_LIFE);
        }
      }
    }
    throw failure;
  }

  /** Ends all questions: they reject with `ECANCELLED`. */
  cancel(): void {
    for (const node of this.#asking.values()) node.cancel();
  }

  #inOrder(): readonly string[] {
    const now = this.#options.now();
    const isSilent = (server: string) => Number(now < (this.#silentUntil.get(server) ?? 0));
    return [...this.addresses].sort((one, other) => isSilent(one) - isSilent(other));
  }

  #node(server: string, round: number): NodeResolver {
    const key = `${round} ${server}`;
    let node = this.#asking.get(key);
    if (node === undefined) {
      // Of a system whose servers have changed many times.
      if (this.#asking.size >= MOST_KEPT) this.#asking.clear();
      node = new NodeResolver({ timeout: Math.min(this.#options.timeout * 2 ** round, 2 ** 30), tries: 1 });
      node.setServers([server]);
      this.#asking.set(key, node);
    }
    return node;
  }
}
