import type { ChildProcess as NodeChild, StdioOptions } from "node:child_process";
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Engine } from "../engine/engine.js";
import type { ChildStreams } from "./child_engine.js";

/**
 * The descriptors of a child: pipes, where the engine makes some, so that it finds `/dev/stdin` and the like as in a shell; Node's own are sockets, which
 * cannot be opened by a name.
 */
export class ChildStdio {
  readonly ofChild: StdioOptions;
  /** Ends that have been given to nobody yet. */
  #open: number[] = [];
  readonly #ours: readonly [input: number, output: number, errors: number | undefined] | undefined;

  /** Throws SystemError. */
  constructor(engine: Engine, errorOutput: "receive" | "inherit" | "ignore") {
    const receives = errorOutput === "receive";
    if (!engine.capabilities.has("childPipes")) {
      this.ofChild = ["pipe", "pipe", receives ? "pipe" : errorOutput];
      return;
    }
    try {
      const [stdin, input] = this.#pipe(engine);
      const [output, stdout] = this.#pipe(engine);
      const [errors, stderr] = receives ? this.#pipe(engine) : [undefined, errorOutput];
      this.ofChild = [stdin, stdout, stderr];
      this.#ours = [input, output, errors];
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #pipe(engine: Engine): [number, number] {
    const ends = engine.openPipe();
    this.#open.push(...ends);
    return ends;
  }

  /** Our ends, for the child that runs. */
  streams(child: NodeChild): ChildStreams {
    const streams = this.#ours === undefined ? nodes(child) : this.#wrap(this.#ours);
    for (const stream of Object.values(streams)) (stream as Partial<Socket> | null)?.unref?.();
    return streams;
  }

  #wrap([input, output, errors]: readonly [number, number, number | undefined]): ChildStreams {
    this.#open = this.#open.filter((fd) => fd !== input && fd !== output && fd !== errors);
    return {
      input: new Socket({ fd: input, readable: false, writable: true }),
      output: new Socket({ fd: output, readable: true, writable: false }),
      errors: errors === undefined ? null : new Socket({ fd: errors, readable: true, writable: false }),
    };
  }

  /** Closes what nobody has taken: the child's ends, which it has itself by now. */
  close(): void {
    for (const fd of this.#open.splice(0)) closeSync(fd);
  }
}

function nodes({ stdin, stdout, stderr }: NodeChild): ChildStreams {
  if (stdin === null || stdout === null) throw new TypeError("the child has no pipes");
  return { input: stdin, output: stdout, errors: stderr };
}
