import { describe } from "../base/addresses.js";
import { checkCount, checkObject } from "../base/checks.js";
import { ArgumentError } from "../base/errors.js";
import { checkNames, type Names } from "../base/known_names.js";
import { REACTOR_OUTBOUND_LIMIT } from "../base/limits.js";
import type { NameLookup } from "../dns/lookups.js";
import { Resolver } from "../dns/resolver.js";
import { checkEngineName, type EngineName } from "../engine/select.js";
import { checkWorkers, type WorkersOptions } from "../workers/defers.js";

/** What a `Reactor` is made of. */
export interface ReactorOptions {
  /** Which engine it runs on. Default "auto", or what EVENTMACHINE_ENGINE says. */
  engine?: EngineName;
  /** How names become addresses: a Resolver, or the `lookup` of one. Default: `new Resolver()`, which asks as the system does. */
  resolver?: Resolver | NameLookup;
  /** Above this much unsent output over all connections, the largest queues close. Default 512 MiB. */
  outboundLimit?: number;
  /**
   * Run each callback in the async context of the `connect` or `startServer` call that made its connection, so that an
   * AsyncLocalStorage follows it. Default false: every batch of callbacks starts from a clean context, at no cost, but what
   * one of them enters with `enterWith` shows in those behind it in the batch (`run` never does).
   */
  asyncContext?: boolean;
  /** The threads of `defer`. Default: as many as there are processors, started when there is work for them. */
  workers?: WorkersOptions;
}

const OPTIONS: Names<ReactorOptions> = {
  engine: true,
  resolver: true,
  outboundLimit: true,
  asyncContext: true,
  workers: true,
};

/** The options checked, and their defaults. */
export interface ReactorSettings {
  readonly engine: EngineName;
  readonly resolver: Resolver;
  readonly outboundLimit: number;
  readonly asyncContext: boolean;
  readonly workers: ReturnType<typeof checkWorkers>;
}

export function checkReactorOptions(options: ReactorOptions): ReactorSettings {
  checkObject(options, "options");
  checkNames(options, OPTIONS, "options");
  const { engine = "auto", resolver = new Resolver(), outboundLimit = REACTOR_OUTBOUND_LIMIT } = options;
  return {
    resolver: checkResolver(resolver),
    engine: checkEngineName(engine),
    outboundLimit: checkCount(outboundLimit, "outboundLimit"),
    asyncContext: options.asyncContext === true,
    workers: checkWorkers(options.workers ?? {}),
  };
}

function checkResolver(resolver: unknown): Resolver {
  if (resolver instanceof Resolver) return resolver;
  if (typeof resolver === "function") return new Resolver({ lookup: resolver as NameLookup });
  throw new ArgumentError(`resolver must be a Resolver or a function, not ${describe(resolver)}`);
}
