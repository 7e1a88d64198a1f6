import assert from "node:assert/strict";
import { type CloseReason, LineText2 } from "eventmachine";
import fc from "fast-check";
import { onEveryEngine } from "../../support/harness.js";
import { RawPeer } from "../../support/raw_peer.js";
import { ruby } from "./differential.js";

type Event = readonly [string] | readonly [string, string];

interface Case {
  delimiter: { text: string } | { pattern: string };
  chunks: string[];
}

/** The same as Account in lines.rb. */
class Account extends LineText2 {
  readonly events: Event[] = [];
  readonly #ended: (events: Event[]) => void;
  #unsized: number | undefined;

  constructor(delimiter: Case["delimiter"], ended: (events: Event[]) => void) {
    super({ delimiter: "text" in delimiter ? delimiter.text : new RegExp(delimiter.pattern), encoding: "latin1" });
    this.#ended = ended;
  }

  override receiveLine(line: string): void {
    this.events.push(["line", line]);
    const block = /^=B(\d+)$/.exec(line);
    const unsized = /^=U(\d+)$/.exec(line);
    const delimiter = /^=D(\D)$/.exec(line);
    if (block !== null) {
      this.setBinaryMode(Number(block[1]));
    } else if (unsized !== null) {
      this.#unsized = Number(unsized[1]);
      this.setBinaryMode();
    } else if (delimiter !== null) {
      this.setDelimiter(Buffer.from(delimiter[1] ?? "", "latin1"));
    }
  }

  override receiveBinaryData(data: Buffer): void {
    if (this.#unsized === undefined) {
      this.events.push(["binary", data.toString("latin1")]);
      return;
    }
    const taken = data.subarray(0, this.#unsized);
    this.events.push(["unsized", taken.toString("latin1")]);
    this.#unsized -= taken.length;
    if (this.#unsized > 0) return;
    this.#unsized = undefined;
    this.setLineMode(data.subarray(taken.length));
  }

  override receiveEndOfBinaryData(): void {
    this.events.push(["end"]);
  }

  override unbind(reason: CloseReason): void {
    super.unbind(reason);
    this.#ended(this.events);
  }
}

/** Pieces of unsized data in a row are one: how they are cut is the network's affair. */
function joined(events: readonly Event[]): Event[] {
  const result: Event[] = [];
  for (const event of events) {
    const last = result.at(-1);
    if (event[0] === "unsized" && last?.[0] === "unsized")
      result[result.length - 1] = ["unsized", `${last[1]}${event[1]}`];
    else result.push(event);
  }
  return result;
}

const CASES: Record<string, Case> = {
  "line ends of all kinds": { delimiter: { text: "\n" }, chunks: ["a\r\nb\r\r\nc\nd\n\n\r\n\r", "\nlast"] },
  "every byte a chunk": { delimiter: { text: "\n" }, chunks: [..."one\r\n\ntwo\nthree\r\n"] },
  "a delimiter of another byte keeps line ends": { delimiter: { text: ";" }, chunks: ["a\n;b", "\r\n;", ";c"] },
  "a delimiter of several bytes, whole": { delimiter: { text: "<br>" }, chunks: ["a<br>b<br><br>c<", "b<br>"] },
  // Ruby raises NoMethodError where a chunk goes on behind the last match: ours does not, and that is tested elsewhere.
  "a pattern": { delimiter: { pattern: "[;,]" }, chunks: ["a;b,,c,", ";;", "d;"] },
  "a block between lines": { delimiter: { text: "\n" }, chunks: ["=B5\nab", "\nde", "after\n"] },
  "blocks in a row": { delimiter: { text: "\n" }, chunks: ["=B3\nxyz=B2\npq=B0\nline\n"] },
  "a block that is never completed": { delimiter: { text: "\n" }, chunks: ["=B10\nabc", "def"] },
  "unsized data, and back to lines with what was too much": {
    delimiter: { text: "\n" },
    chunks: ["=U4\nab", "cdef\nghi\n"],
  },
  "a delimiter that changes": { delimiter: { text: "\n" }, chunks: ["a\n=D;\nb\nc;d", ";=D\n;e\n"] },
  "every byte value": {
    delimiter: { text: "\n" },
    chunks: [String.fromCharCode(...Array.from({ length: 256 }, (_, at) => at)), "\n"],
  },
};

onEveryEngine("LineText2 beside Ruby's", (engine) => {
  async function ours(trial: Parameters<Parameters<typeof engine.rule>[1]>[0], cases: readonly Case[]) {
    const results: Event[][] = [];
    await using peer = new RawPeer();
    for (const { delimiter, chunks } of cases) {
      let events: Event[] | undefined;
      const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Account, delimiter, (all) => {
        events = all;
      });
      await peer.connect({ port: listener.port as number });
      for (const chunk of chunks) await peer.send(chunk);
      await peer.close();
      await trial.until(() => events !== undefined, "the end of the lines");
      results.push(events ?? []);
      await listener.close();
    }
    return results;
  }

  async function theirs(cases: readonly Case[]): Promise<Event[][]> {
    await using child = ruby("lines.rb");
    const results: Event[][] = [];
    for (const each of cases) {
      child.say(JSON.stringify(each));
      results.push(await child.json<Event[]>());
    }
    return results;
  }

  for (const [name, given] of Object.entries(CASES)) {
    engine.rule(name, async (trial) => {
      const [[expected], [found]] = await Promise.all([theirs([given]), ours(trial, [given])]);
      assert.ok(expected !== undefined && found !== undefined);
      assert.deepEqual(joined(found), joined(expected));
    });
  }

  engine.rule("any text in any chunks", async (trial) => {
    const piece = fc.constantFrom("a", "bc", "\n", "\r\n", "\r", ";", "=B3\n", "=B0\n", "=U2\n", "=D;\n", "=D\n;", "ÿ");
    const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));
    const cuts = fc.array(fc.nat(60), { maxLength: 8 });
    const delimiter = fc.constantFrom({ text: "\n" }, { text: ";" });
    const cases = fc.sample(
      fc.tuple(delimiter, text, cuts).map(([by, whole, at]) => ({ delimiter: by, chunks: cut(whole, at) })),
      200,
    );
    const [expected, found] = await Promise.all([theirs(cases), ours(trial, cases)]);
    for (const [at, given] of cases.entries()) {
      assert.deepEqual(joined(found[at] ?? []), joined(expected[at] ?? []), JSON.stringify(given));
    }
  });
});

function cut(text: string, places: readonly number[]): string[] {
  const at = [0, ...places.map((place) => Math.min(place, text.length)).sort((a, b) => a - b), text.length];
  return at
    .slice(1)
    .map((end, index) => text.slice(at[index], end))
    .filter((chunk) => chunk !== "");
}
