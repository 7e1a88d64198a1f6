import { describe } from "../base/describe.js";
import { ArgumentError } from "../base/errors.js";
import { IOStreamer, type StreamerOptions } from "./io_streamer.js";
import type { StreamSink } from "./stream_sink.js";

const PIECE = 64 * 1024;

/**
 * Sends a file as IOStreamer does, 64 KiB at a time; fails with the system's error where it cannot be opened or read. A
 * Connection's own `streamFileData` costs less: this is for other sinks. (EventMachine's FileStreamer.)
 */
export class FileStreamer extends IOStreamer {
  constructor(sink: StreamSink, path: string, options: StreamerOptions = {}) {
    if (typeof path !== "string") throw new ArgumentError(`path must be a string, not ${describe(path)}`);
    super(sink, pieces(path), options);
  }
}

async function* pieces(path: string): AsyncGenerator<Uint8Array> {
  // Loaded when needed: a streamer of anything else does without.
  const { open } = await import("node:fs/promises");
  const file = await open(path);
  try {
    for (;;) {
      // A piece of its own each time: a sink other than a Connection may keep what it is given.
      const piece = new Uint8Array(PIECE);
      const { bytesRead } = await file.read(piece, 0, PIECE);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
