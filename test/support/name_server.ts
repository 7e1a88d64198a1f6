import { createSocket, type RemoteInfo } from "node:dgram";
import { createServer, type Server, type Socket, SocketAddress } from "node:net";

/** A name server that says what a test wants, true or not: RFC 1035 over UDP and TCP on one port of 127.0.0.1. */

const TYPES = { A: 1, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, CAA: 257 } as const;
type Type = keyof typeof TYPES;
export const NXDOMAIN = 3;
export const SERVFAIL = 2;
export const REFUSED = 5;

export interface Question {
  readonly id: number;
  readonly name: string;
  readonly type: Type | number;
  readonly over: "udp" | "tcp";
  /** The message as it came. */
  readonly message: Buffer;
}

export interface ResourceRecord {
  readonly type: Type;
  readonly data: Buffer;
  /** Default: the name asked for. */
  readonly name?: string;
  /** Seconds. Default 60. */
  readonly ttl?: number;
}

export interface Reply {
  readonly answers?: readonly ResourceRecord[];
  readonly extra?: readonly ResourceRecord[];
  readonly rcode?: number;
  readonly truncated?: boolean;
  /** In place of the question's. */
  readonly id?: number;
  readonly name?: string;
}

/** Nothing, one message or several, made of a reply or as bytes. */
export type Answer = Reply | Buffer | readonly (Reply | Buffer)[] | undefined;

export class NameServer implements AsyncDisposable {
  readonly asked: Question[] = [];
  readonly #answer: (question: Question) => Answer | Promise<Answer>;
  readonly #udp = createSocket("udp4");
  readonly #tcp: Server = createServer((socket) => this.#serve(socket));
  readonly #sockets = new Set<Socket>();
  port = 0;

  private constructor(answer: (question: Question) => Answer | Promise<Answer>) {
    this.#answer = answer;
  }

  static async start(answer: (question: Question) => Answer | Promise<Answer>): Promise<NameServer> {
    const server = new NameServer(answer);
    await server.#listen();
    return server;
  }

  /** How a Resolver is told of it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** What was asked, as `A name`. */
  get questions(): string[] {
    return this.asked.map(({ name, type }) => `${type} ${name}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(() => resolve())),
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
    ]);
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#tcp.listen(0, "127.0.0.1", resolve));
    this.port = (this.#tcp.address() as { port: number }).port;
    await new Promise<void>((resolve, reject) => {
      this.#udp.once("error", reject);
      this.#udp.bind(this.port, "127.0.0.1", resolve);
    });
    this.#udp.on("message", (message, from) => void this.#ask(message, from));
  }

  async #ask(message: Buffer, from: RemoteInfo): Promise<void> {
    for (const reply of await this.#reply(message, "udp")) this.#udp.send(reply, from.port, from.address, () => {});
  }

  #serve(socket: Socket): void {
    let held = Buffer.alloc(0);
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", async (data: Buffer) => {
      held = Buffer.concat([held, data]);
      while (held.length > 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const length = held.readUInt16BE(0);
        const message = held.subarray(2, 2 + length);
        held = held.subarray(2 + length);
        for (const reply of await this.#reply(message, "tcp"))
          socket.write(Buffer.concat([number(reply.length), reply]));
      }
    });
  }

  async #reply(message: Buffer, over: "udp" | "tcp"): Promise<Buffer[]> {
    const question = readQuestion(message, over);
    this.asked.push(question);
    const answer = await this.#answer(question);
    if (answer === undefined) return [];
    const all: readonly (Reply | Buffer)[] = Array.isArray(answer) ? answer : [answer];
    return all.map((each) => (Buffer.isBuffer(each) ? each : writeReply(question, each)));
  }
}

export const a = (address: string, ttl?: number): ResourceRecord =>
  record("A", Buffer.from(address.split(".").map(Number)), ttl);

export function aaaa(address: string, ttl?: number): ResourceRecord {
  const { address: text } = new SocketAddress({ address, family: "ipv6" });
  const [head = "", tail] = text.split("::");
  const words = (part: string | undefined) => (part ? part.split(":").map((word) => Number.parseInt(word, 16)) : []);
  const [left, right] = [words(head), words(tail)];
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return record("AAAA", Buffer.concat(all.map(number)), ttl);
}

export const cname = (target: string, ttl?: number): ResourceRecord => record("CNAME", encodeName(target), ttl);
export const ptr = (target: string): ResourceRecord => record("PTR", encodeName(target));
export const mx = (priority: number, exchange: string): ResourceRecord =>
  record("MX", Buffer.concat([number(priority), encodeName(exchange)]));
export const txt = (...pieces: string[]): ResourceRecord =>
  record("TXT", Buffer.concat(pieces.map((piece) => Buffer.concat([Buffer.from([piece.length]), Buffer.from(piece)]))));
export const srv = (priority: number, weight: number, port: number, target: string): ResourceRecord =>
  record("SRV", Buffer.concat([number(priority), number(weight), number(port), encodeName(target)]));
export const caa = (tag: string, value: string): ResourceRecord =>
  record("CAA", Buffer.concat([Buffer.from([0, tag.length]), Buffer.from(tag + value)]));

function record(type: Type, data: Buffer, ttl?: number): ResourceRecord {
  return ttl === undefined ? { type, data } : { type, data, ttl };
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** A dot in a label is written `\.`. */
function encodeName(name: string): Buffer {
  const labels =
    name === "." || name === "" ? [] : name.split(/(?<!\\)\./).map((label) => label.replaceAll("\\.", "."));
  const parts = labels.map((label) => Buffer.concat([Buffer.from([Buffer.byteLength(label)]), Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.alloc(1)]);
}

function readQuestion(message: Buffer, over: "udp" | "tcp"): Question {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at++] as number; length > 0; length = message[at++] as number) {
    labels.push(message.toString("latin1", at, at + length));
    at += length;
  }
  const code = message.readUInt16BE(at);
  const known = Object.entries(TYPES).find(([, value]) => value === code);
  return { id: message.readUInt16BE(0), name: labels.join("."), type: (known?.[0] as Type) ?? code, over, message };
}

export function writeReply(question: Question, reply: Reply): Buffer {
  const { answers = [], extra = [], rcode = 0, truncated = false, id = question.id, name = question.name } = reply;
  const type = typeof question.type === "number" ? question.type : TYPES[question.type];
  const flags = 0x8180 | rcode | (truncated ? 0x0200 : 0);
  const head = [id, flags, 1, answers.length, 0, extra.length].map(number);
  const records = [...answers, ...extra].map((each) => {
    const ttl = Buffer.alloc(4);
    ttl.writeUInt32BE(each.ttl ?? 60);
    const owner = encodeName(each.name ?? question.name);
    return Buffer.concat([owner, number(TYPES[each.type]), number(1), ttl, number(each.data.length), each.data]);
  });
  return Buffer.concat([...head, encodeName(name), number(type), number(1), ...records]);
}
