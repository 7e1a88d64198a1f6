import { type CloseReason, Connection, type TlsInfo } from "eventmachine";
import { PatternCheck, pattern } from "../support/bytes.js";
import type { Random } from "../support/random.js";
import { outcomeOf, type Terms } from "./expected.js";

/** What went on, and what went wrong; the first wrongs are kept in words. */
export class Ledger {
  connections = 0;
  bytesChecked = 0;
  wrongs = 0;
  readonly samples: string[] = [];
  readonly endings: Record<string, number> = {};
  /** How connections ended, in clear and under TLS. */
  readonly clear: Record<string, number> = {};
  readonly secure: Record<string, number> = {};
  /** Handshakes that went through, by what they came to. */
  readonly handshakes: Record<string, number> = {};

  wrong(what: string): void {
    this.wrongs++;
    if (this.samples.length < 10) this.samples.push(what);
  }
}

export function count(table: Record<string, number>, name: string): void {
  table[name] = (table[name] ?? 0) + 1;
}

/** The largest piece given to one `sendData`. */
const PIECE = 200_000;

/**
 * Either end: sends a stretch of the pattern in pieces of random sizes, as fast as it is taken; checks what comes in
 * byte for byte; pauses at random.
 */
export abstract class SoakPeer extends Connection {
  protected readonly ledger: Ledger;
  protected readonly random: Random;
  protected readonly terms: Terms;
  readonly #incoming = new PatternCheck();
  #toSend = 0;
  #sent = 0;
  #whenSent: () => void = () => {};

  constructor(ledger: Ledger, random: Random, terms: Terms) {
    super();
    this.ledger = ledger;
    this.random = random;
    this.terms = terms;
  }

  override sslHandshakeCompleted({ protocol, isSessionReused }: TlsInfo): void {
    count(this.ledger.handshakes, `${protocol} ${isSessionReused ? "resumed" : "in full"}`);
  }

  /** How much of the pattern has come in. */
  get taken(): number {
    return this.#incoming.count;
  }

  /** Sends so much of the pattern, then calls back. */
  protected produce(size: number, whenSent: () => void): void {
    this.#toSend = size;
    this.#whenSent = whenSent;
    this.#continue();
  }

  override drained(): void {
    this.#continue();
  }

  #continue(): void {
    while (this.#sent < this.#toSend && this.state === "open") {
      const size = Math.min(this.#toSend - this.#sent, 1 + this.random.size(PIECE));
      const piece = pattern(size, this.#sent);
      this.#sent += size;
      const more = this.sendData(piece);
      // The caller may reuse its buffer at once: whoever looks at it later sees this.
      piece.fill(0xee);
      if (!more && this.#sent < this.#toSend) return;
    }
    if (this.#sent < this.#toSend) return;
    const whenSent = this.#whenSent;
    this.#whenSent = () => {};
    whenSent();
  }

  /** Checks a piece of the other's pattern. */
  protected take(data: Buffer): void {
    try {
      this.#incoming.take(data);
      this.ledger.bytesChecked += data.length;
    } catch (error) {
      this.ledger.wrong(`${this.describe()}: ${(error as Error).message}`);
      this.abort();
    }
    if (this.random.oneIn(200) && this.state === "open") this.#rest();
  }

  #rest(): void {
    this.pause();
    setTimeout(
      () => {
        if (this.state === "open") this.resume();
      },
      this.random.between(0, 20),
    );
  }

  /** Notes the end, and that it is one of those expected. */
  protected ended(reason: CloseReason, expected: readonly string[]): void {
    const { ledger } = this;
    const outcome = outcomeOf(reason);
    count(this.terms.isSecure ? ledger.secure : ledger.clear, outcome);
    if (!expected.includes(outcome)) {
      ledger.wrong(`${this.describe()}: ended with ${outcome}, not ${expected.join(" or ")}`);
    }
  }

  abstract describe(): string;
}
