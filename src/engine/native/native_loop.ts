import { EventMachineError } from "../../base/errors.js";
import type { EngineCounters } from "../counters.js";
import type { Handle } from "../streams.js";
import type { Binding } from "./binding.js";
import { Figure, Word } from "./layout.js";
import { LentBytes } from "./lent_bytes.js";
import { type SharedViews, viewShared } from "./ring.js";

/** What there is to see while no loop runs: no handle is alive in it. */
const NOTHING: SharedViews = {
  words: new Int32Array(16),
  figures: new Float64Array(32),
  events: new Int32Array(0),
  pieces: new Int32Array(0),
  outbound: new Float64Array(0),
  handles: new Int32Array(0),
  flags: new Uint8Array(0),
};

/** One loop of the addon: the memory it shares with JavaScript, its clock, and what it has counted. */
export class NativeLoop {
  /** The memory that events bring their bytes in. */
  readonly lending = new LentBytes();
  protected readonly native: Binding;
  /** The loop's number in the addon; -1 while there is none. */
  protected loop = -1;
  protected words = NOTHING.words;
  protected figures = NOTHING.figures;
  protected pieces = NOTHING.pieces;
  protected outbound = NOTHING.outbound;
  protected handles = NOTHING.handles;
  protected flags = NOTHING.flags;
  /** Where output is copied to. */
  protected outSlab = Buffer.alloc(0);
  /** From `performance.now()` to the clock of the addon. */
  protected clockOffset = 0;

  constructor(native: Binding) {
    this.native = native;
  }

  /** Makes the loop, which will call `dispatch` for each batch of events and `ticks` where a turn was asked for. */
  protected open(dispatch: () => void, ticks: () => void): SharedViews {
    const seed = Number(process.env.EVENTMACHINE_TORTURE_SEED ?? 0) >>> 0;
    const [loop, control, eventSlab, outSlab] = this.#create(dispatch, ticks, seed);
    this.loop = loop;
    const views = viewShared(control);
    this.#view(views);
    this.lending.use(eventSlab);
    this.outSlab = Buffer.from(outSlab);
    this.clockOffset = measureOffset(this.native);
    return views;
  }

  /** The core needs memory and descriptors of its own; where the system has none left, the run says so. */
  #create(dispatch: () => void, ticks: () => void, seed: number): ReturnType<Binding["create"]> {
    try {
      return this.native.create(dispatch, ticks, seed);
    } catch (cause) {
      const { message } = cause as Error;
      throw new EventMachineError("ERR_EM_ENGINE_UNAVAILABLE", `the native engine cannot start: ${message}`, { cause });
    }
  }

  /** Closes the loop; what it has counted stays readable. */
  protected shut(): void {
    const last = this.figures.slice(0, 32);
    this.native.close(this.loop);
    this.loop = -1;
    this.#view({ ...NOTHING, words: new Int32Array(16), figures: last });
    this.lending.use(new ArrayBuffer(0));
    this.outSlab = Buffer.alloc(0);
  }

  #view(views: SharedViews): void {
    this.words = views.words;
    this.figures = views.figures;
    this.pieces = views.pieces;
    this.outbound = views.outbound;
    this.handles = views.handles;
    this.flags = views.flags;
  }

  ref(): void {
    this.native.holdProcess(this.loop, true);
  }

  unref(): void {
    this.native.holdProcess(this.loop, false);
  }

  now(): number {
    return performance.now();
  }

  setDeadline(at: number): void {
    this.figures[Figure.deadline] = at + this.clockOffset;
  }

  requestTurn(): void {
    this.words[Word.ticksWanted] = 1;
  }

  flush(): void {
    this.native.flush(this.loop);
  }

  counters(): EngineCounters {
    const figures = this.figures;
    return {
      accepted: figures[Figure.accepted]!,
      connected: figures[Figure.connected]!,
      bytesIn: figures[Figure.bytesIn]!,
      bytesOut: figures[Figure.bytesOut]!,
      events: figures[Figure.events]!,
      batches: figures[Figure.batches]!,
      systemCalls: figures[Figure.systemCalls]!,
      receiveDrops: figures[Figure.receiveDrops]!,
      spins: figures[Figure.spins]!,
    };
  }

  lastRead(handle: Handle): number {
    return this.#stamp(handle, false);
  }

  lastWrite(handle: Handle): number {
    return this.#stamp(handle, true);
  }

  #stamp(handle: Handle, write: boolean): number {
    const stamp = this.native.stamp(this.loop, handle, write);
    return stamp === 0 ? 0 : stamp - this.clockOffset;
  }
}

/**
 * What to add to `performance.now()` for the addon's clock. Reading one clock after the other makes this too large by the
 * time in between, never too small: deadlines come that much late, and never early.
 */
function measureOffset(native: Binding): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    const before = performance.now();
    least = Math.min(least, native.monotonic() - before);
  }
  // Doubles this large carry rounding errors below a nanosecond.
  return least + 1e-6;
}
