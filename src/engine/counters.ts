/** What an engine counts; all of them only grow. */
export interface EngineCounters {
  accepted: number;
  connected: number;
  bytesIn: number;
  bytesOut: number;
  /** Events delivered, and the batches they came in. */
  events: number;
  batches: number;
  /** System calls made for input, output and polling; 0 where the engine cannot know. */
  systemCalls: number;
}

/** As an engine begins that has done nothing yet. */
export function noCounters(): EngineCounters {
  return { accepted: 0, connected: 0, bytesIn: 0, bytesOut: 0, events: 0, batches: 0, systemCalls: 0 };
}
