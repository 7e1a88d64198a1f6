// The reporter of scripts/test.mjs: Node's own, and after it the programs that tests lacked.
//
// A test that met a program which is not on this machine (MissingProgram of test/support/programs.ts) is shown as skipped
// and counted apart. What was found goes into the file TEST_REPORT for test.mjs, which decides what it means.
import { writeFileSync } from "node:fs";
import { spec } from "node:test/reporters";

const MISSING = /needs the program ([\w-]+): (apt install [\w-]+)/;

class Findings {
  failed = 0;
  lacking = 0;
  /** By program: how to install it, and how many tests wanted it. */
  programs = new Map();
  #failedWithin = new Map();
  #saidMissing = new Map();

  /** What an event becomes for Node's reporter. */
  see(event) {
    const { type, data } = event;
    if (type === "test:stderr") this.#listen(data);
    if (type === "test:fail") return this.#failure(event);
    if (type === "test:diagnostic" && data.nesting === 0) return this.#total(event);
    return event;
  }

  #listen({ file, message }) {
    const found = MISSING.exec(message);
    if (found !== null) this.#saidMissing.set(file, found);
  }

  #failure(event) {
    const { data } = event;
    const { error, type } = data.details;
    // The files come one after another, and in each what is inside before what it is in.
    const inner = this.#failedWithin.get(data.nesting + 1) ?? 0;
    this.#failedWithin.delete(data.nesting + 1);
    const isParent = error?.failureType === "subtestsFailed";
    const found = isParent ? null : this.#missing(data, error, inner);
    if (found === null && !(isParent && inner === 0)) {
      this.#failedWithin.set(data.nesting, (this.#failedWithin.get(data.nesting) ?? 0) + 1);
      if (type !== "suite") this.failed++;
      return event;
    }
    if (found === null) return { type: "test:pass", data };
    const [, name, install] = found;
    const program = this.programs.get(name) ?? { install, tests: 0 };
    program.tests++;
    this.programs.set(name, program);
    if (type !== "suite") this.lacking++;
    return { type: "test:pass", data: { ...data, skip: `needs ${name}` } };
  }

  #missing(data, error, inner) {
    const found = MISSING.exec(String(error?.cause?.message ?? error?.message ?? ""));
    if (found !== null) return found;
    // A file that could not begin says why on its standard error.
    const isFile = data.nesting === 0 && error?.exitCode !== undefined && inner === 0;
    return isFile ? (this.#saidMissing.get(data.file) ?? null) : null;
  }

  /** The totals at the end count what lacked a program as failed. */
  #total(event) {
    const found = /^(fail|skipped) (\d+)$/.exec(event.data.message);
    if (found === null || this.lacking === 0) return event;
    const count = Number(found[2]) + (found[1] === "fail" ? -this.lacking : this.lacking);
    return { ...event, data: { ...event.data, message: `${found[1]} ${count}` } };
  }

  *summary() {
    if (this.programs.size === 0) return;
    yield `\nnot run, for want of a program: ${this.lacking} tests\n`;
    for (const [name, { install, tests }] of [...this.programs].sort()) {
      yield `${String(tests).padStart(8)}  ${name.padEnd(16)}  ${install}\n`;
    }
  }
}

export default async function* report(source) {
  const findings = new Findings();
  const node = new spec();
  const events = (async () => {
    for await (const event of source) {
      const seen = findings.see(event);
      if (!node.write(seen)) await new Promise((resolve) => node.once("drain", resolve));
    }
    node.end();
  })();
  for await (const text of node) yield text;
  await events;
  yield* findings.summary();
  const { failed, lacking } = findings;
  if (process.env.TEST_REPORT !== undefined) {
    writeFileSync(process.env.TEST_REPORT, JSON.stringify({ failed, lacking }));
  }
}
