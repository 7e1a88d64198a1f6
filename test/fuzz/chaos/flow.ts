import { pattern } from "../../support/bytes.js";

/** A stretch of the pattern that is under way. */
interface Stretch {
  from: number;
  left: number;
}

/** One direction of a connection: what was given to it, piece by piece, and the check of what comes out of it. */
export class Flow {
  given = 0;
  taken = 0;
  readonly #underWay: Stretch[] = [];
  #next = 0;

  /** So many bytes to send, no others than these. */
  give(size: number): Buffer {
    const bytes = pattern(size, this.#next);
    this.#add(this.#next, size);
    this.#next += size;
    return bytes;
  }

  /** A file of so many bytes of the pattern is sent. */
  giveFile(size: number): void {
    this.#add(0, size);
  }

  #add(from: number, left: number): void {
    this.given += left;
    this.#underWay.push({ from, left });
  }

  /** Takes what came out; what is wrong with it, in words. */
  take(data: Buffer): string | undefined {
    for (let at = 0; at < data.length; ) {
      const stretch = this.#underWay[0];
      if (stretch === undefined) return `${data.length - at} bytes came that nobody sent`;
      const size = Math.min(stretch.left, data.length - at);
      if (data.compare(pattern(size, stretch.from), 0, size, at, at + size) !== 0) {
        return `other bytes than those sent, within ${size} from byte ${this.taken + at} on`;
      }
      at += size;
      stretch.from += size;
      stretch.left -= size;
      if (stretch.left === 0) this.#underWay.shift();
    }
    this.taken += data.length;
    return undefined;
  }

  get isQuiet(): boolean {
    return this.given === this.taken;
  }
}
