import type { Random } from "../support/random.js";

/** How a connection comes to its end. The first group is orderly: not a byte may be lost. */
export const ENDINGS = [
  /** The client has everything it asked for, and closes. */
  "client-closes",
  /** The server closes after writing. */
  "server-finishes",
  /** The client closes after writing, and gets nothing. */
  "client-finishes",
  /** The client sends its FIN with the last byte, and then gets its answer. */
  "client-half-closes",
  /** The server sends a file and closes after writing. */
  "server-sends-file",
  /** In the middle of it: */
  "client-aborts",
  "client-drops",
  "server-aborts",
  "server-drops",
] as const;
export type Ending = (typeof ENDINGS)[number];

/** What one connection is to do: the client tells the server in its first bytes. */
export interface Plan {
  readonly ending: Ending;
  /** Bytes from the client behind the head, and bytes from the server. */
  readonly up: number;
  readonly down: number;
  /** Where in the stream a disorderly end comes. */
  readonly cutAt: number;
}

/** What the client alone has to know. */
export interface ClientPlan extends Plan {
  readonly isSecure: boolean;
  /** Under TLS: sends when it is connected, not when it is secured. */
  readonly isHasty: boolean;
}

export const HEAD_SIZE = 13;

/** The largest body one way. The file that servers send is as large. */
export const LARGEST = 1024 * 1024;

export function makePlan(random: Random): ClientPlan {
  const ending = random.pick(ENDINGS);
  const up = random.size(LARGEST);
  const down = ending === "client-finishes" ? 0 : ending === "server-sends-file" ? LARGEST : random.size(LARGEST);
  const within = ending.startsWith("server") ? up : down;
  const isSecure = random.oneIn(3);
  return { ending, up, down, cutAt: random.between(0, within), isSecure, isHasty: random.oneIn(2) };
}

export function encodePlan({ ending, up, down, cutAt }: Plan): Buffer {
  const head = Buffer.alloc(HEAD_SIZE);
  head.writeUInt8(ENDINGS.indexOf(ending), 0);
  head.writeUInt32BE(up, 1);
  head.writeUInt32BE(down, 5);
  head.writeUInt32BE(cutAt, 9);
  return head;
}

export function decodePlan(head: Buffer): Plan {
  const ending = ENDINGS[head.readUInt8(0)];
  if (ending === undefined) throw new Error(`no plan begins like this: ${head.toString("hex")}`);
  return { ending, up: head.readUInt32BE(1), down: head.readUInt32BE(5), cutAt: head.readUInt32BE(9) };
}

export function isOrderly(ending: Ending): boolean {
  return !ending.endsWith("aborts") && !ending.endsWith("drops");
}
