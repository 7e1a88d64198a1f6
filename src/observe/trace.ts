import { debuglog } from "node:util";

const log = debuglog("eventmachine");

/** Whether NODE_DEBUG names `eventmachine`. Whoever traces asks first, so that it costs nothing where nobody reads. */
export const isTracing: boolean = log.enabled;

/** Writes a line to stderr: what became open or ended, and how. */
export const trace: (format: string, ...values: unknown[]) => void = log;
