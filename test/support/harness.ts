import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CAPABILITIES, type Capability, engineInfo, type ReactorOptions, UnsupportedError } from "eventmachine";
import { Trial } from "./trial.js";

/**
 * The conformance suite states what every engine must show. It stands on the public face alone and takes its time from
 * the reactor's own clock, so that an engine with another clock and another network can run it unchanged.
 */

type EngineUnderTest = NonNullable<ReactorOptions["engine"]>;

/** How long a rule may take on the reactor's clock; it then fails and tells what its connections have seen. */
const RULE_LIMIT = 60_000;
/** Beyond that the runner itself gives up on a reactor whose clock stands still. */
const RUNNER_LIMIT = 40_000;

export interface RuleOptions {
  /** Milliseconds on the reactor's clock. */
  limit?: number;
  reactor?: ReactorOptions;
}

/** TLS runs over TCP. */
export type Medium = "tcp" | "unix" | "tls";

/** Runs the rules of an area on each engine in EVENTMACHINE_ENGINES (default: native and portable). */
export function onEveryEngine(area: string, define: (engine: EngineSuite) => void): void {
  const names = (process.env.EVENTMACHINE_ENGINES ?? "native,portable").split(",");
  for (const name of names) {
    describe(`${area} on ${name}`, () => define(new EngineSuite(name as EngineUnderTest)));
  }
}

/** The rules of one area on one engine. */
export class EngineSuite {
  readonly name: EngineUnderTest;
  readonly #lacks: ReadonlySet<Capability>;

  constructor(name: EngineUnderTest) {
    const info = engineInfo(name);
    assert.equal(info.engine, name, `the ${name} engine is not to be had here: ${info.reason}`);
    this.name = name;
    this.#lacks = new Set(info.lacks.map(({ capability }) => capability));
  }

  has(capability: Capability): boolean {
    return !this.#lacks.has(capability);
  }

  /** A rule whose body runs inside `run` of a reactor of its own; afterwards everything must have ended in order. */
  rule(name: string, body: (trial: Trial) => unknown, options: RuleOptions = {}): void {
    const { limit = RULE_LIMIT } = options;
    test(name, { timeout: limit + RUNNER_LIMIT }, async (context) => {
      const trial = new Trial(this, options.reactor);
      context.signal.addEventListener("abort", () => trial.giveUp());
      await trial.runRule(body, limit);
    });
  }

  /** A rule about `run` itself: its body starts and stops the trial's reactor as it likes. */
  runRule(name: string, body: (trial: Trial) => Promise<unknown>, options: RuleOptions = {}): void {
    test(name, { timeout: RUNNER_LIMIT }, async (context) => {
      const trial = new Trial(this, options.reactor);
      context.signal.addEventListener("abort", () => trial.giveUp());
      try {
        await body(trial);
      } finally {
        await trial.cleanUp();
      }
      trial.checkEnded();
    });
  }

  /** The rule holds on TCP, on Unix sockets and over TLS alike. */
  ruleOnEach(name: string, body: (trial: Trial, medium: Medium) => unknown, options: RuleOptions = {}): void {
    for (const medium of ["tcp", "unix", "tls"] as const) {
      this.rule(`${name} (${medium})`, (trial) => body(trial.over(medium), medium), options);
    }
  }

  /** The rule holds on TCP, and over TLS alike; Unix sockets are another matter, or no matter. */
  ruleOnStreams(name: string, body: (trial: Trial, medium: Medium) => unknown, options: RuleOptions = {}): void {
    for (const medium of ["tcp", "tls"] as const) {
      this.rule(medium === "tcp" ? name : `${name} (${medium})`, (trial) => body(trial.over(medium), medium), options);
    }
  }

  /** A rule that needs a capability. Where the engine lacks it, what `refused` does must meet the typed refusal. */
  ruleNeeding(
    capability: Capability,
    name: string,
    body: (trial: Trial) => unknown,
    refused: (trial: Trial) => unknown,
    options: RuleOptions = {},
  ): void {
    if (this.has(capability)) {
      this.rule(name, body, options);
      return;
    }
    this.rule(`${name}: refused, for it cannot ${CAPABILITIES[capability]}`, async (trial) => {
      await assert.rejects(
        async () => await refused(trial),
        (error) => {
          assert.ok(error instanceof UnsupportedError, `a typed refusal, not ${error}`);
          assert.equal(error.code, "ERR_EM_UNSUPPORTED");
          assert.equal(error.capability, capability);
          return true;
        },
      );
    });
  }
}
