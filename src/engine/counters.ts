/** What an engine counts; all of them only grow. */
export interface EngineCounters {
  /** Connections accepted. */
  accepted: number;
  /** Clients' connections that opened. */
  connected: number;
  /** Bytes received. */
  bytesIn: number;
  /** Bytes sent. */
  bytesOut: number;
  /** Events delivered. */
  events: number;
  /** The batches those events came in. */
  batches: number;
  /** System calls made for input, output and polling; 0 where the engine cannot know. */
  systemCalls: number;
  /**
   * Datagrams dropped because nobody took them in time, as `receiveDrops` of the sockets' own counters, those that are closed
   * included: by the kernel where the engine can tell, and by an engine that holds them itself while a socket is paused.
   */
  receiveDrops: number;
  /**
   * Connections and listeners that the native engine ended (`EIO`, `epoll_wait`) because the kernel reported them ready a thousand
   * times in a row and there was nothing to do: the alternative is a loop that never ends. Not zero means a fault, of ours or of the
   * kernel's: please report it.
   */
  spins: number;
}

/** As an engine begins that has done nothing yet. */
export function noCounters(): EngineCounters {
  return {
    accepted: 0,
    connected: 0,
    bytesIn: 0,
    bytesOut: 0,
    events: 0,
    batches: 0,
    systemCalls: 0,
    receiveDrops: 0,
    spins: 0,
  };
}
