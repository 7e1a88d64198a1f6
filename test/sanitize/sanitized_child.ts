import assert from "node:assert/strict";
import { Child, type Exit } from "../support/child.js";
import { PATIENCE } from "../support/wait.js";

/** A process that may run under sanitizers: what they find is on its standard error. */
class SanitizedChild extends Child {
  /** How it ended, when nothing was found in it and it was not brought down. */
  async soundEnd(): Promise<Exit> {
    const exit = await this.ended(2 * PATIENCE);
    assert.doesNotMatch(this.stderr, /AddressSanitizer|runtime error:|UndefinedBehaviorSanitizer|FATAL ERROR/);
    assert.equal(exit.signal, null, `brought down by ${exit.signal}: ${this.stderr}`);
    return exit;
  }
}

export { SanitizedChild as Child };
