/**
 * What streamers send into; a Connection is one. `drained` is called by whoever owns the sink when it may be sent to again
 * after `sendData` has returned false. While a streamer runs, it stands in the sink's `drained` and calls the sink's own
 * after itself.
 */
export interface StreamSink {
  /** Takes the data, all of it. Returns false when the caller should wait for `drained`. */
  sendData(data: Uint8Array | string): boolean;
  /** Called when it may be sent to again. */
  drained?(): unknown;
  /** Settles when the sink takes nothing more. */
  readonly closed?: PromiseLike<unknown>;
}
