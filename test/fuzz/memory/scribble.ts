import {
  MAX_EVENTS,
  MAX_PIECES,
  MAX_PLACES,
  MAX_SLOTS,
  OUT_SLAB_SIZE,
  PLACE_HEAD,
  PLACE_SIZE,
  Word,
} from "../../../src/engine/native/layout.js";
import type { Random } from "../../support/random.js";
import type { Shared } from "./shared_memory.js";

const EVENT_SLAB_SIZE = 512 * 1024;

/** Slots that a round of this size is likely to use, and the last there is. */
const SLOTS = 120;

/** Numbers at the edges of everything that is measured in the shared memory. */
const EDGES = [
  0,
  1,
  15,
  16,
  MAX_PIECES - 1,
  MAX_PIECES,
  MAX_PIECES + 1,
  OUT_SLAB_SIZE - 1,
  OUT_SLAB_SIZE,
  OUT_SLAB_SIZE + 1,
  EVENT_SLAB_SIZE - 1,
  EVENT_SLAB_SIZE,
  EVENT_SLAB_SIZE + 16,
  MAX_SLOTS - 1,
  MAX_SLOTS,
  MAX_SLOTS + 1,
  2 ** 31 - 1,
] as const;

/** A 32-bit word that means something, or nothing. */
export function word(random: Random, { views }: Shared): number {
  switch (random.between(0, 4)) {
    case 0:
      return random.pick(EDGES) * (random.oneIn(3) ? -1 : 1);
    case 1:
      return random.between(-(2 ** 31), 2 ** 31 - 1);
    case 2:
      // A handle that lives, or the next generation of it, or its neighbour.
      return (views.handles[random.between(0, SLOTS)] ?? 0) + random.pick([0, 0, 0, 1, MAX_SLOTS, -MAX_SLOTS]);
    case 3:
      return random.between(0, 300);
    default:
      return random.between(0, EVENT_SLAB_SIZE);
  }
}

const FIGURES = [0, 1, -1, 5e-324, 1e9, 1e308, -1e308, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

/** Writes into the memory of a living loop what nobody should; says what, for the journal. */
export function scribble(random: Random, shared: Shared): string {
  const { words, pieces, events, handles, flags, outbound, figures } = shared.views;
  const value = word(random, shared);
  switch (random.between(0, 9)) {
    case 0: {
      const at = random.between(0, 15);
      words[at] = value;
      return `word ${at} = ${value}`;
    }
    case 1: {
      // Pieces as JavaScript queues them, with contents of all kinds.
      const count = random.oneIn(8) ? random.between(0, MAX_PIECES) : random.between(1, 20);
      for (let at = 0; at < Math.min(count, 200) * 4; at++) pieces[at] = word(random, shared);
      words[Word.pieceCount] = random.oneIn(4) ? value : count;
      return `${count} pieces, counted as ${words[Word.pieceCount]}`;
    }
    case 2: {
      const at = random.between(0, 80);
      pieces[at] = value;
      return `piece word ${at} = ${value}`;
    }
    case 3: {
      const at = random.oneIn(4) ? random.between(0, MAX_EVENTS * 4 - 1) : random.between(0, 80);
      events[at] = value;
      return `event word ${at} = ${value}`;
    }
    case 4: {
      const at = random.oneIn(9) ? MAX_SLOTS - 1 : random.between(0, SLOTS);
      handles[at] = value;
      return `handle ${at} = ${value}`;
    }
    case 5: {
      const at = random.between(0, SLOTS);
      flags[at] = random.between(0, 255);
      return `flags ${at} = ${flags[at]}`;
    }
    case 6: {
      const at = random.between(0, SLOTS);
      outbound[at] = random.pick(FIGURES);
      return `outbound ${at} = ${outbound[at]}`;
    }
    case 7: {
      const at = random.between(8, 31);
      figures[at] = random.pick(FIGURES);
      return `figure ${at} = ${figures[at]}`;
    }
    case 8: {
      const arena = shared.arena();
      if (arena === undefined) return "no arena yet";
      // The heads of the first places, mostly: they say how long a datagram and its sender's name are.
      const place = random.oneIn(4) ? random.between(0, MAX_PLACES - 1) : random.between(0, 3);
      const at = (place * PLACE_SIZE) / 4 + random.between(0, PLACE_HEAD / 4);
      arena[at] = value;
      return `arena word ${at} = ${value}`;
    }
    default: {
      const at = random.between(0, OUT_SLAB_SIZE - 1);
      shared.outSlab.fill(random.between(0, 255), at, at + 1 + random.size(4096));
      return `out slab at ${at}`;
    }
  }
}
