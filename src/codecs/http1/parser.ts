import type { HttpProtocolError } from "../../base/errors.js";
import { StateError } from "../../base/errors.js";
import { MAX_HTTP_METHOD } from "../../base/limits.js";
import {
  CLASSES,
  COLON,
  CR,
  HEX,
  HTAB,
  LF,
  latin1,
  SEMICOLON,
  SP,
  sameToken,
  TARGET,
  TEXT,
  TOKEN,
} from "./characters.js";
import { ChunkExtension } from "./chunk_extension.js";
import { Codings, codingsOf, connectionFlags, expectFlag, lengthOf, shown } from "./framing.js";
import { claimPlaces, HeadFlag, Http1Fields, Http1Head, PLACES } from "./head.js";
import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from "./limits.js";
import { isForbiddenTrailer, isMiscased, lowerName, usualMethod } from "./names.js";
import { type Authority, faultOfTarget, isAuthority, sameAuthority } from "./target.js";
import { type MessageKind, violation } from "./violations.js";

/**
 * What a parser found, in the order of the bytes. The methods are called from within `execute` and `finish`. For each message
 * `onHead`, `onBody` as often as there is content, `onTrailers` where there are any, `onEnd`; then `onSwitch`, where the
 * message asks for another protocol.
 *
 * What they are given lies in the memory that `execute` was given, and is the caller's again when the method returns.
 */
export interface Http1Events {
  /** A head is complete, and its framing is sound. It can be read until the method returns, and after that if it was kept. */
  onHead(head: Http1Head): void;
  /** Some content, without its framing: the bytes from `start` to `end`, which are never none. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The fields behind the last chunk. None of them may be taken for a header field. */
  onTrailers(trailers: Http1Fields): void;
  /** The message is complete. */
  onEnd(): void;
  /**
   * What stands behind a message with `switchesProtocol` may be another protocol's. Nothing is read before `goOn`, which says
   * that it is not; where it is, it begins at the place that `execute` returns.
   */
  onSwitch(): void;
}

const Phase = {
  head: 0,
  /** Content of a known length, or the data of a chunk. */
  fixed: 1,
  chunkSize: 2,
  chunkExtension: 3,
  chunkSizeEnd: 4,
  chunkData: 5,
  chunkDataCr: 6,
  chunkDataLf: 7,
  trailers: 8,
  untilClose: 9,
  end: 10,
  switching: 11,
  /** Behind the last message of a connection: what comes is dropped (RFC 9112 section 9.6). */
  over: 12,
} as const;

const Step = {
  /** Before the start line, where an empty line may stand. */
  before: 0,
  beforeLf: 1,
  method: 2,
  target: 3,
  version: 4,
  status: 5,
  reason: 6,
  reasonLf: 7,
  line: 8,
  name: 9,
  blanks: 10,
  value: 11,
  valueLf: 12,
  lastLf: 13,
} as const;

const HOST_NAME = Buffer.from("host");
const EXPECT = Buffer.from("expect");
const UPGRADE = Buffer.from("upgrade");
const CONNECTION = Buffer.from("connection");
const CONTENT_LENGTH = Buffer.from("content-length");
const TRANSFER_ENCODING = Buffer.from("transfer-encoding");
const UNDERSCORE = 0x5f;

/** What follows a target; where it has a digit, one must stand. */
const VERSION = Buffer.from("HTTP/0.0\r\n");
/** What begins a response. */
const STATUS = Buffer.from("HTTP/0.0 000");
/** The most hex digits of a chunk's size: four pebibytes, and below what JavaScript can count to. */
const MOST_SIZE_DIGITS = 13;
/** Of what follows a head that came in parts, as much is copied at a time. */
const PART = 1024;

/** Whose unfinished section PLACES describes; undefined when nobody's. */
let placed: Http1Parser | undefined;

/** Of the target that was checked last. */
const authority: Authority = { start: 0, end: 0, defaultPort: "" };

/**
 * Reads HTTP/1.1 and HTTP/1.0 messages, requests or responses, one behind the other, from bytes that come in any pieces; it
 * knows no sockets. RFC 9112, and where that leaves a choice in how a message is framed, the strict one: a message that two
 * readers could take differently is refused.
 *
 * - `execute(bytes, start, end)` reads and calls the events. It returns where it stopped: at `end`, or before it after `pause`
 *   and where a protocol may be switched. What was not read is the caller's to keep, and to give again. Events of a message
 *   without content need no more bytes, so that after a pause `execute` is called even with none.
 * - What comes behind the last message of a connection (`isKeptAlive` false) is taken and dropped.
 * - Content is never copied. Of a head that is not whole a copy is kept, up to the limits; a head that came whole is read where it lies.
 * - It throws HttpProtocolError for what breaks the rules or a limit, and from then on throws the same again: nobody can know where
 *   the next message begins. The events before stand. `status` is what a server answers before it closes; where its answer has
 *   begun it just closes. What an event throws comes through, and ends the parser too.
 * - The events are the same for every way to cut the same bytes, but that content comes in other pieces.
 * - A parser of responses is told by `answers` which method the next final response answers, since that decides whether it has content.
 */
export class Http1Parser {
  readonly #kind: MessageKind;
  readonly #events: Http1Events;
  readonly #limits: Http1Limits;
  #phase: number = Phase.head;
  #isPaused = false;
  #failure: unknown;

  // Where reading a section stands between two pieces; places are counted from where the section's text begins.
  #step: number = Step.before;
  #at = 0;
  #mark = 0;
  #count = 0;
  #first = 0;
  #held: Buffer | undefined;
  #heldLength = 0;
  #heldPlaces: Int32Array | undefined;

  // What the head says.
  #method = "";
  #status = 0;
  #minor = 0;
  #from = 0;
  #to = 0;
  #namesHost = false;
  #hosts = 0;
  #host = 0;
  #length = -1;
  #codings: Codings = Codings.none;
  #flags = 0;

  // Where content stands.
  #left = 0;
  #digits = 0;
  #body = 0;
  #extension: ChunkExtension | undefined;
  #maxBody: number;
  /** Of a response's parser: what the next final response answers. */
  #request: string | undefined;

  constructor(kind: MessageKind, events: Http1Events, limits: Http1Limits = DEFAULT_HTTP1_LIMITS) {
    this.#kind = kind;
    this.#events = events;
    this.#limits = limits;
    this.#maxBody = limits.maxBody;
  }

  /** The next final response answers a request of this method. Throws StateError while another one is awaited. */
  answers(method: string): void {
    if (this.#request !== undefined) {
      throw new StateError("ERR_EM_HTTP_ANSWERING", `a response to ${this.#request} is awaited already`);
    }
    this.#request = method;
  }

  /** How much content the message under way may have, from `onHead` on; the limit's default holds again for the next. */
  set maxBody(bytes: number) {
    this.#maxBody = bytes;
  }

  /** No event follows the one under way before `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  /** The next `execute` reads on. */
  resume(): void {
    this.#isPaused = false;
  }

  /** Whether it is paused. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** After `onSwitch`: the protocol stays HTTP, and the next `execute` reads on. */
  goOn(): void {
    if (this.#phase !== Phase.switching) return;
    this.#phase = (this.#flags & HeadFlag.last) !== 0 ? Phase.over : Phase.head;
  }

  /** Whether a message has begun and is not complete; an empty line before one has not begun it. */
  get isWithin(): boolean {
    if (this.#phase !== Phase.head) return this.#phase < Phase.switching;
    const isFirst = this.#step === Step.method || this.#step === Step.status;
    return isFirst ? this.#at > this.#mark : this.#step > Step.beforeLf;
  }

  /** Reads bytes, and returns where it stopped. Must not be called from within an event. */
  execute(bytes: Buffer, start = 0, end = bytes.length): number {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#read(bytes, start, end);
    } catch (error) {
      this.#failure = error;
      this.#held = undefined;
      throw error;
    }
  }

  /**
   * The peer has sent its FIN, and all that came before was read: content that nothing else ends is complete. Throws
   * HttpProtocolError `ERR_EM_HTTP_TRUNCATED` where a message is cut off.
   */
  finish(): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      if (this.#phase === Phase.untilClose || this.#phase === Phase.end) {
        this.#phase = Phase.end;
        this.#end();
      } else if (this.isWithin) {
        throw this.#violation("ERR_EM_HTTP_TRUNCATED", 400, "the connection ended inside of a message");
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #read(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (!this.#isPaused) {
      switch (this.#phase) {
        case Phase.head:
          if (at === end) return at;
          at = this.#section(bytes, at, end);
          break;
        case Phase.end:
          this.#end();
          break;
        case Phase.fixed:
          if (at === end) return at;
          at = this.#fixed(bytes, at, end);
          break;
        case Phase.untilClose:
          if (at === end) return at;
          at = this.#untilClose(bytes, at, end);
          break;
        case Phase.trailers:
          if (at === end) return at;
          at = this.#section(bytes, at, end);
          break;
        case Phase.switching:
          return at;
        case Phase.over:
          return end;
        default:
          if (at === end) return at;
          at = this.#chunk(bytes, at, end);
      }
    }
    return at;
  }

  #end(): void {
    const isInterim = this.#status >= 100 && this.#status < 200 && this.#status !== 101;
    if (!isInterim) this.#request = undefined;
    if ((this.#flags & HeadFlag.switches) !== 0) this.#phase = Phase.switching;
    else this.#phase = (this.#flags & HeadFlag.last) !== 0 && !isInterim ? Phase.over : Phase.head;
    this.#step = Step.before;
    this.#events.onEnd();
    if (this.#phase === Phase.switching) this.#events.onSwitch();
  }

  // Sections ---------------------------------------------------------------------------------------------------

  /** Reads as much of a head, or of trailers, as there is; returns where it stopped. */
  #section(bytes: Buffer, at: number, end: number): number {
    if (this.#held !== undefined) return this.#heldSection(bytes, at, end);
    const after = this.#scan(bytes, at, at, end);
    if (after >= 0) return after;
    this.#hold(bytes, at, end);
    this.#savePlaces(0);
    return end;
  }

  /** The section's beginning is held: what follows is copied behind it, until the section is whole. */
  #heldSection(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const before = this.#heldLength;
      const to = Math.min(end, at + PART);
      this.#hold(bytes, at, to);
      if (placed !== this) {
        claimPlaces();
        PLACES.set(this.#heldPlaces!);
      }
      const known = this.#count;
      const held = this.#held!;
      const length = this.#heldLength;
      const after = this.#scan(held, 0, this.#at, length);
      if (after >= 0) return at + after - before;
      this.#savePlaces(known);
      at = to;
    }
    return at;
  }

  /** Other sections may be read before this one goes on. Fields up to `known` are saved already. */
  #savePlaces(known: number): void {
    const length = 4 * this.#count + 4;
    let saved = this.#heldPlaces;
    if (saved === undefined || saved.length < length) {
      const grown = new Int32Array(2 * length);
      if (saved !== undefined) grown.set(saved);
      this.#heldPlaces = saved = grown;
    }
    for (let i = 4 * known; i < length; i++) saved[i] = PLACES[i]!;
    placed = this;
  }

  #hold(bytes: Buffer, from: number, to: number): void {
    const length = this.#heldLength + to - from;
    if (this.#held === undefined || length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, 2 * this.#heldLength, 256));
      this.#held?.copy(grown, 0, 0, this.#heldLength);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldLength, from, to);
    this.#heldLength = length;
  }

  #letGo(): void {
    if (placed === this) placed = undefined;
    this.#held = undefined;
    this.#heldLength = 0;
    this.#heldPlaces = undefined;
  }

  /**
   * Reads a section whose text begins at `base` from `start` on. Returns where it ends, -1 where more is needed. One loop for each
   * part of it, and each part can be left and entered anywhere, so that no cut makes a difference.
   */
  #scan(bytes: Buffer, base: number, start: number, end: number): number {
    claimPlaces();
    placed = undefined;
    const limits = this.#limits;
    // A local is loaded once; what a module exports, at each turn of a loop.
    const classes = CLASSES;
    const places = PLACES;
    let step = this.#step;
    let at = start;
    let mark = base + this.#mark;
    let count = this.#count;
    // Nothing beyond a limit is looked at, so that what stands there makes no difference.
    let bound = base + this.#first + (step >= Step.line ? this.#sectionLimit() : limits.maxStartLine + 2);
    let stop = bound < end ? bound : end;
    while (true) {
      switch (step) {
        case Step.before:
          if (at === stop) break;
          if (this.#phase === Phase.trailers) {
            this.#count = count = 0;
            this.#first = at - base;
            bound = at + limits.maxTrailerSection;
            stop = bound < end ? bound : end;
            step = Step.line;
            continue;
          }
          this.#beginHead();
          bound = at + limits.maxStartLine + 2;
          stop = bound < end ? bound : end;
          mark = at;
          count = 0;
          if (bytes[at] === CR) {
            at++;
            step = Step.beforeLf;
          } else step = this.#kind === "request" ? Step.method : Step.status;
          continue;

        case Step.beforeLf:
          if (at === stop) break;
          if (bytes[at] !== LF) throw this.#startLine("a carriage return must be followed by a line feed");
          mark = ++at;
          this.#first = at - base;
          bound = at + limits.maxStartLine + 2;
          stop = bound < end ? bound : end;
          step = this.#kind === "request" ? Step.method : Step.status;
          continue;

        case Step.method: {
          const most = mark + MAX_HTTP_METHOD + 1;
          const until = most < stop ? most : stop;
          while (at < until && (classes[bytes[at]!]! & TOKEN) !== 0) at++;
          if (at === until) {
            if (at === most)
              throw this.#violation("ERR_EM_HTTP_METHOD", 501, `a method is longer than ${MAX_HTTP_METHOD}`);
            break;
          }
          if (bytes[at] !== SP || at === mark)
            throw this.#startLine("a method must be a token, with one space behind it");
          this.#method = usualMethod(bytes, mark, at) ?? this.#otherMethod(latin1(bytes, mark, at));
          mark = ++at;
          step = Step.target;
          continue;
        }

        case Step.target: {
          while (at < stop && (classes[bytes[at]!]! & TARGET) !== 0) at++;
          if (at === stop) break;
          if (bytes[at] !== SP || at === mark) {
            throw this.#startLine("a target must be without blanks, controls and fragments, with one space behind it");
          }
          const fault = faultOfTarget(bytes, mark, at, this.#method, authority);
          if (fault !== undefined) throw this.#violation("ERR_EM_HTTP_TARGET", 400, fault);
          this.#namesHost = authority.end > 0;
          this.#from = mark - base;
          this.#to = at - base;
          mark = ++at;
          step = Step.version;
          continue;
        }

        case Step.version:
          while (at < stop && at - mark < VERSION.length && fits(bytes[at]!, VERSION[at - mark]!)) at++;
          if (at - mark < VERSION.length) {
            if (at === stop) break;
            throw this.#startLine("the request line must end with HTTP/1.1 or HTTP/1.0, CR and LF");
          }
          this.#checkVersion(bytes[mark + 5]!, bytes[mark + 7]!);
          this.#first = at - base;
          bound = at + limits.maxHeaderSection;
          stop = bound < end ? bound : end;
          step = Step.line;
          continue;

        case Step.status:
          while (at < stop && at - mark < STATUS.length && fits(bytes[at]!, STATUS[at - mark]!)) at++;
          if (at === stop) break;
          if (at - mark < STATUS.length) throw this.#startLine("a response must begin with its version and status");
          this.#checkVersion(bytes[mark + 5]!, bytes[mark + 7]!);
          this.#status = (bytes[mark + 9]! - 48) * 100 + (bytes[mark + 10]! - 48) * 10 + bytes[mark + 11]! - 48;
          if (this.#status < 100) throw this.#startLine(`there is no status ${this.#status}`);
          if (bytes[at] !== SP && bytes[at] !== CR) throw this.#startLine("a status must have three digits");
          // The space belongs there even without a reason. Many leave it out, and nothing hangs on it.
          if (bytes[at] === SP) at++;
          mark = at;
          step = Step.reason;
          continue;

        case Step.reason:
          while (at < stop && (classes[bytes[at]!]! & TEXT) !== 0) at++;
          if (at === stop) break;
          if (bytes[at] !== CR) throw this.#startLine("a reason must have no controls, and CR and LF behind it");
          this.#from = mark - base;
          this.#to = at - base;
          at++;
          step = Step.reasonLf;
          continue;

        case Step.reasonLf:
          if (at === stop) break;
          if (bytes[at] !== LF) throw this.#startLine("a carriage return must be followed by a line feed");
          at++;
          this.#first = at - base;
          bound = at + limits.maxHeaderSection;
          stop = bound < end ? bound : end;
          step = Step.line;
          continue;

        case Step.line:
          if (at === stop) break;
          if (bytes[at] === CR) {
            at++;
            step = Step.lastLf;
            continue;
          }
          if (count === limits.maxHeaderFields) throw this.#tooMany();
          mark = at;
          step = Step.name;
          continue;

        case Step.name:
          while (at < stop && (classes[bytes[at]!]! & TOKEN) !== 0) at++;
          if (at === stop) break;
          if (bytes[at] !== COLON || at === mark) throw this.#badName(bytes, mark, at);
          places[4 * count] = mark - base;
          places[4 * count + 1] = at - base;
          at++;
          step = Step.blanks;
          continue;

        case Step.blanks:
          while (at < stop && (bytes[at] === SP || bytes[at] === HTAB)) at++;
          if (at === stop) break;
          mark = at;
          step = Step.value;
          continue;

        case Step.value: {
          // Most of a head are values: four bytes at a time.
          while (
            at + 4 <= stop &&
            (classes[bytes[at]!]! &
              classes[bytes[at + 1]!]! &
              classes[bytes[at + 2]!]! &
              classes[bytes[at + 3]!]! &
              TEXT) !==
              0
          )
            at += 4;
          while (at < stop && (classes[bytes[at]!]! & TEXT) !== 0) at++;
          if (at === stop) break;
          if (bytes[at] !== CR) throw this.#field("a value must have no controls, and CR and LF behind it");
          let to = at;
          while (to > mark && (bytes[to - 1] === SP || bytes[to - 1] === HTAB)) to--;
          places[4 * count + 2] = mark - base;
          places[4 * count + 3] = to - base;
          at++;
          step = Step.valueLf;
          continue;
        }

        case Step.valueLf:
          if (at === stop) break;
          if (bytes[at] !== LF) throw this.#field("a carriage return must be followed by a line feed");
          at++;
          this.#note(bytes, base, count);
          count++;
          step = Step.line;
          continue;

        default:
          if (at === stop) break;
          if (bytes[at] !== LF) throw this.#field("a carriage return must be followed by a line feed");
          at++;
          this.#step = Step.before;
          this.#mark = 0;
          this.#count = count;
          this.#complete(bytes, base, at);
          return at;
      }
      if (at === bound) throw this.#tooLarge(step);
      this.#step = step;
      this.#at = at - base;
      this.#mark = mark - base;
      this.#count = count;
      return -1;
    }
  }

  #otherMethod(method: string): string {
    if (!isMiscased(method)) return method;
    throw this.#violation("ERR_EM_HTTP_METHOD", 501, `there is no method ${JSON.stringify(method)}`);
  }

  #sectionLimit(): number {
    return this.#phase === Phase.trailers ? this.#limits.maxTrailerSection : this.#limits.maxHeaderSection;
  }

  #beginHead(): void {
    this.#first = 0;
    this.#namesHost = false;
    this.#method = "";
    this.#status = 0;
    this.#hosts = 0;
    this.#length = -1;
    this.#codings = Codings.none;
    this.#flags = 0;
  }

  #checkVersion(major: number, minor: number): void {
    this.#minor = minor - 48;
    if (major !== 49 || this.#minor > 1) {
      const version = `HTTP/${major - 48}.${this.#minor}`;
      throw this.#violation("ERR_EM_HTTP_VERSION", 505, `${version} is not spoken here, HTTP/1.1 and HTTP/1.0 are`);
    }
  }

  /** A field is complete: those that the connection and the framing hang on are read now. */
  #note(bytes: Buffer, base: number, count: number): void {
    const name = base + PLACES[4 * count]!;
    const length = base + PLACES[4 * count + 1]! - name;
    const from = base + PLACES[4 * count + 2]!;
    const to = base + PLACES[4 * count + 3]!;
    if (this.#phase === Phase.trailers) {
      if (isForbiddenTrailer(lowerName(latin1(bytes, name, name + length)))) {
        const what = `${shown(bytes, name, name + length)} must not stand behind the content`;
        throw this.#violation("ERR_EM_HTTP_TRAILER", 400, what);
      }
      return;
    }
    switch (length) {
      case 4:
        if (sameToken(bytes, name, HOST_NAME)) this.#noteHost(bytes, from, to, count);
        return;
      case 6:
        if (sameToken(bytes, name, EXPECT)) this.#flags |= expectFlag(bytes, from, to);
        return;
      case 7:
        if (sameToken(bytes, name, UPGRADE)) this.#flags |= HeadFlag.protocols;
        return;
      case 10:
        if (sameToken(bytes, name, CONNECTION)) this.#flags |= connectionFlags(bytes, from, to);
        return;
      case 14:
        if (bytes[name + 7] === UNDERSCORE) this.#refuseLookalike(bytes, name, CONTENT_LENGTH);
        else if (sameToken(bytes, name, CONTENT_LENGTH)) this.#noteLength(bytes, name, from, to);
        return;
      case 17:
        if (bytes[name + 8] === UNDERSCORE) this.#refuseLookalike(bytes, name, TRANSFER_ENCODING);
        else if (sameToken(bytes, name, TRANSFER_ENCODING)) this.#noteCodings(bytes, name, from, to);
        return;
    }
  }

  #noteHost(bytes: Buffer, from: number, to: number, count: number): void {
    if (this.#kind === "response") return;
    if (++this.#hosts > 1) throw this.#violation("ERR_EM_HTTP_HOST", 400, "there must be one Host, not several");
    this.#host = count;
    if (!isAuthority(bytes, from, to)) {
      throw this.#violation(
        "ERR_EM_HTTP_HOST",
        400,
        `Host must be a host and maybe a port, not ${shown(bytes, from, to)}`,
      );
    }
  }

  #noteLength(bytes: Buffer, name: number, from: number, to: number): void {
    const length = this.#length < 0 && this.#isTight(bytes, name + 14, from, to) ? lengthOf(bytes, from, to) : -1;
    if (length < 0) {
      const what = "there must be one Content-Length, of digits alone and not more than 2^53 - 1";
      throw this.#violation("ERR_EM_HTTP_CONTENT_LENGTH", 400, what);
    }
    this.#length = length;
  }

  #noteCodings(bytes: Buffer, name: number, from: number, to: number): void {
    this.#codings = this.#isTight(bytes, name + 17, from, to)
      ? codingsOf(bytes, from, to, this.#codings)
      : Codings.faulty;
  }

  /**
   * Of the two fields that frame a request's content: whether nothing but spaces stands before the value, and nothing at all behind
   * it. Other blanks are legal, but not all take them for blanks, and a proxy may stand before us that does not.
   */
  #isTight(bytes: Buffer, colon: number, from: number, to: number): boolean {
    if (this.#kind === "response") return true;
    for (let at = colon + 1; at < from; at++) if (bytes[at] !== SP) return false;
    return bytes[to] === CR;
  }

  /** With `_` for `-` it is another field here, and the same one to those who make variables of fields. */
  #refuseLookalike(bytes: Buffer, name: number, lower: Buffer): void {
    const dash = lower.indexOf("-");
    const alike = (at: number) => at === dash || (bytes[name + at]! | 0x20) === lower[at];
    for (let at = 0; at < lower.length; at++) if (!alike(at)) return;
    throw this.#field(`${shown(bytes, name, name + lower.length)} could be taken for another field`);
  }

  /** The empty line behind the section has been read; its text is from `base` to `end`. */
  #complete(bytes: Buffer, base: number, end: number): void {
    if (this.#phase === Phase.trailers) {
      this.#phase = Phase.end;
      const trailers = new Http1Fields(bytes, base, end, this.#first, this.#count);
      this.#letGo();
      if (this.#count > 0) this.#events.onTrailers(trailers);
      trailers.leave();
      return;
    }
    if (this.#kind === "request") this.#frameRequest(bytes, base);
    else this.#frameResponse();
    const head = new Http1Head(
      bytes,
      base,
      end,
      this.#first,
      this.#count,
      this.#method,
      this.#status,
      this.#minor,
      this.#from,
      this.#to,
      this.#length,
      this.#flags,
    );
    this.#letGo();
    this.#body = 0;
    this.#maxBody = this.#limits.maxBody;
    this.#events.onHead(head);
    head.leave();
    if (this.#phase === Phase.fixed && this.#left > this.#maxBody) throw this.#tooMuch();
  }

  // Framing ----------------------------------------------------------------------------------------------------

  #frameRequest(bytes: Buffer, base: number): void {
    const method = this.#method;
    if (this.#hosts === 0 && this.#minor === 1) throw this.#violation("ERR_EM_HTTP_HOST", 400, "there must be a Host");
    if (this.#namesHost && this.#hosts > 0) this.#checkAuthority(bytes, base);
    this.#checkCodings();
    const hasContent = this.#codings !== Codings.none || this.#length > 0;
    if (hasContent) this.#checkContent(bytes, base);
    this.#frame(this.#length > 0 ? this.#length : 0);
    const isSwitch =
      (this.#flags & (HeadFlag.upgrade | HeadFlag.protocols)) === (HeadFlag.upgrade | HeadFlag.protocols);
    if (this.#minor === 0) {
      // RFC 9110 sections 7.8 and 10.1.1: both are ignored in HTTP/1.0.
      this.#flags &= ~(HeadFlag.expectsContinue | HeadFlag.expectsOther);
      if ((this.#flags & (HeadFlag.keepAlive | HeadFlag.close)) !== HeadFlag.keepAlive) this.#flags |= HeadFlag.last;
    } else {
      if ((this.#flags & HeadFlag.close) !== 0) this.#flags |= HeadFlag.last;
      if (isSwitch) this.#flags |= HeadFlag.switches;
    }
    if (method === "CONNECT") this.#flags |= HeadFlag.switches;
  }

  #checkAuthority(bytes: Buffer, base: number): void {
    // Other parsers may have read theirs meanwhile.
    faultOfTarget(bytes, base + this.#from, base + this.#to, this.#method, authority);
    const host = latin1(bytes, base + PLACES[4 * this.#host + 2]!, base + PLACES[4 * this.#host + 3]!);
    if (sameAuthority(host, latin1(bytes, authority.start, authority.end), authority.defaultPort)) return;
    throw this.#violation("ERR_EM_HTTP_HOST", 400, "Host must be the host of the target");
  }

  #checkContent(bytes: Buffer, base: number): void {
    const method = this.#method;
    if (method === "TRACE" || method === "CONNECT") {
      throw this.#violation("ERR_EM_HTTP_CONTENT", 400, `a request of ${method} has no content`);
    }
    // RFC 9110 section 9.3.7.
    if (method === "OPTIONS" && !this.#hasField(bytes, base, "content-type")) {
      throw this.#violation("ERR_EM_HTTP_CONTENT", 400, "content of OPTIONS must have a Content-Type");
    }
  }

  #hasField(bytes: Buffer, base: number, name: string): boolean {
    for (let i = 0; i < this.#count; i++) {
      const from = base + PLACES[4 * i]!;
      const to = base + PLACES[4 * i + 1]!;
      if (to - from === name.length && latin1(bytes, from, to).toLowerCase() === name) return true;
    }
    return false;
  }

  #frameResponse(): void {
    const status = this.#status;
    const request = this.#request;
    if (request === undefined) {
      throw this.#violation("ERR_EM_HTTP_UNEXPECTED_RESPONSE", 502, "a response came that answers no request");
    }
    this.#checkCodings();
    const isConnected = request === "CONNECT" && status >= 200 && status < 300;
    const isBare = status < 200 || status === 204 || isConnected;
    const isDeclared = this.#codings !== Codings.none || this.#length > 0;
    if ((this.#flags & HeadFlag.close) !== 0) this.#flags |= HeadFlag.last;
    else if (this.#minor === 0 && (this.#flags & HeadFlag.keepAlive) === 0) this.#flags |= HeadFlag.last;
    if (status === 101 || isConnected) this.#flags |= HeadFlag.switches;
    if (isBare || status === 304 || request === "HEAD") {
      // A server that declares content where there can be none may also send it: what follows is not to be trusted.
      if (isBare && isDeclared) this.#flags |= HeadFlag.last;
      if (this.#codings !== Codings.none) this.#flags |= HeadFlag.chunked;
      this.#phase = Phase.end;
    } else if (this.#codings === Codings.none && this.#length < 0) {
      this.#flags |= HeadFlag.last;
      this.#phase = Phase.untilClose;
    } else this.#frame(this.#length);
  }

  /** Refuses what two readers could take differently (RFC 9112 section 6.1 to 6.3). */
  #checkCodings(): void {
    const codings = this.#codings;
    if (codings === Codings.none) return;
    const refuse = (what: string, status = 400) => {
      throw this.#violation("ERR_EM_HTTP_TRANSFER_ENCODING", status, what);
    };
    if (this.#length >= 0) refuse("there must be a Transfer-Encoding or a Content-Length, not both");
    if (this.#minor === 0) refuse("HTTP/1.0 has no Transfer-Encoding");
    if (codings === Codings.faulty)
      refuse("Transfer-Encoding must be a list of codings, chunked once and without parameters");
    if (codings === Codings.open) refuse("the last transfer coding must be chunked");
    if (codings === Codings.othersChunked) refuse("no transfer coding but chunked is known here", 501);
  }

  #frame(length: number): void {
    if (this.#codings !== Codings.none) {
      this.#flags |= HeadFlag.chunked;
      this.#phase = Phase.chunkSize;
      this.#digits = 0;
      this.#left = 0;
      this.#extension = undefined;
    } else if (length > 0) {
      this.#phase = Phase.fixed;
      this.#left = length;
    } else this.#phase = Phase.end;
  }

  // Content ----------------------------------------------------------------------------------------------------

  #fixed(bytes: Buffer, at: number, end: number): number {
    const to = end - at < this.#left ? end : at + this.#left;
    this.#left -= to - at;
    if (this.#left === 0) this.#phase = Phase.end;
    this.#events.onBody(bytes, at, to);
    return to;
  }

  /** What fits the limit is given before it is found to be passed, for it might have come by itself. */
  #untilClose(bytes: Buffer, at: number, end: number): number {
    const room = this.#maxBody - this.#body;
    if (room <= 0) throw this.#tooMuch();
    const to = end - at < room ? end : at + room;
    this.#body += to - at;
    this.#events.onBody(bytes, at, to);
    return to;
  }

  #countBody(bytes: number): void {
    this.#body += bytes;
    if (this.#body > this.#maxBody) throw this.#tooMuch();
  }

  /** One part of a chunk: its size, its extensions, its data, or a line end. */
  #chunk(bytes: Buffer, start: number, end: number): number {
    let at = start;
    switch (this.#phase) {
      case Phase.chunkSize: {
        let digit = 0;
        while (at < end) {
          digit = HEX[bytes[at]!]!;
          if (digit < 0) break;
          if (++this.#digits > MOST_SIZE_DIGITS)
            throw this.#badChunk(`a size must have ${MOST_SIZE_DIGITS} digits at most`);
          this.#left = this.#left * 16 + digit;
          at++;
        }
        if (at === end) return at;
        if (this.#digits === 0) throw this.#badChunk("a chunk must begin with its size in hex digits");
        if (bytes[at] === SEMICOLON) {
          this.#extension ??= new ChunkExtension();
          this.#phase = Phase.chunkExtension;
          return at;
        }
        if (bytes[at] !== CR)
          throw this.#badChunk("a size must be hex digits, with an extension or CR and LF behind it");
        this.#phase = Phase.chunkSizeEnd;
        return at + 1;
      }
      case Phase.chunkExtension: {
        const extension = this.#extension!;
        while (at < end && bytes[at] !== CR) {
          if (!extension.takes(bytes[at]!))
            throw this.#badChunk("an extension must be a name, and maybe = and a value");
          if (extension.length > this.#limits.maxChunkExtensions) throw this.#tooExtended();
          at++;
        }
        if (at === end) return at;
        if (!extension.ends()) throw this.#badChunk("an extension must be a name, and maybe = and a value");
        this.#phase = Phase.chunkSizeEnd;
        return at + 1;
      }
      case Phase.chunkSizeEnd:
        if (bytes[at] !== LF) throw this.#badChunk("a carriage return must be followed by a line feed");
        if (this.#left > 0) {
          this.#countBody(this.#left);
          this.#phase = Phase.chunkData;
        } else this.#phase = Phase.trailers;
        return at + 1;
      case Phase.chunkData: {
        const to = end - at < this.#left ? end : at + this.#left;
        this.#left -= to - at;
        if (this.#left === 0) this.#phase = Phase.chunkDataCr;
        this.#events.onBody(bytes, at, to);
        return to;
      }
      case Phase.chunkDataCr:
        if (bytes[at] !== CR) throw this.#badChunk("the data of a chunk must be followed by CR and LF");
        this.#phase = Phase.chunkDataLf;
        return at + 1;
      default:
        if (bytes[at] !== LF) throw this.#badChunk("the data of a chunk must be followed by CR and LF");
        this.#phase = Phase.chunkSize;
        this.#digits = 0;
        this.#left = 0;
        return at + 1;
    }
  }

  // Faults -----------------------------------------------------------------------------------------------------

  #violation(code: string, status: number, what: string, limit?: number): HttpProtocolError {
    return violation(this.#kind, code, status, what, limit);
  }

  #startLine(what: string): HttpProtocolError {
    return this.#violation("ERR_EM_HTTP_START_LINE", 400, what);
  }

  #field(what: string): HttpProtocolError {
    return this.#violation("ERR_EM_HTTP_FIELD", 400, what);
  }

  #badName(bytes: Buffer, mark: number, at: number): HttpProtocolError {
    const byte = bytes[at];
    if (at === mark && (byte === SP || byte === HTAB)) return this.#field("a line must not begin with a blank");
    return this.#field("a name must be a token, with a colon right behind it");
  }

  #badChunk(what: string): HttpProtocolError {
    return this.#violation("ERR_EM_HTTP_CHUNK", 400, what);
  }

  #tooLarge(step: number): HttpProtocolError {
    const { maxStartLine, maxHeaderSection, maxTrailerSection } = this.#limits;
    if (this.#phase === Phase.trailers) {
      const what = `the trailer section is longer than ${maxTrailerSection} bytes`;
      return this.#violation("ERR_EM_HTTP_TRAILERS_TOO_LARGE", 431, what, maxTrailerSection);
    }
    if (step < Step.line) {
      const what = `the start line is longer than ${maxStartLine} bytes`;
      return this.#violation("ERR_EM_HTTP_URI_TOO_LONG", 414, what, maxStartLine);
    }
    const what = `the header section is longer than ${maxHeaderSection} bytes`;
    return this.#violation("ERR_EM_HTTP_HEADERS_TOO_LARGE", 431, what, maxHeaderSection);
  }

  #tooMany(): HttpProtocolError {
    const { maxHeaderFields } = this.#limits;
    const code = this.#phase === Phase.trailers ? "ERR_EM_HTTP_TRAILERS_TOO_LARGE" : "ERR_EM_HTTP_HEADERS_TOO_LARGE";
    return this.#violation(code, 431, `there are more than ${maxHeaderFields} fields`, maxHeaderFields);
  }

  #tooExtended(): HttpProtocolError {
    const { maxChunkExtensions } = this.#limits;
    const what = `the extensions of chunks are longer than ${maxChunkExtensions} bytes`;
    return this.#violation("ERR_EM_HTTP_EXTENSIONS_TOO_LARGE", 413, what, maxChunkExtensions);
  }

  #tooMuch(): HttpProtocolError {
    const what = `the content is longer than ${this.#maxBody} bytes`;
    return this.#violation("ERR_EM_HTTP_BODY_TOO_LARGE", 413, what, this.#maxBody);
  }
}

/** Whether a byte is what stands in a pattern, in which 0 is any digit. */
function fits(byte: number, pattern: number): boolean {
  return pattern === 0x30 ? byte >= 0x30 && byte <= 0x39 : byte === pattern;
}
