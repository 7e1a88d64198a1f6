import type { SystemError } from "../base/system_error.js";

/** What a watch of files reports; names are undefined where it is the watched path itself. */
export interface ChangeSink {
  modified(name?: string): void;
  attributes(name?: string): void;
  created(name?: string): void;
  deleted(name?: string): void;
  /** `from`: its name before, in a folder. */
  moved(name?: string, from?: string): void;
  /** Nothing more can be watched. */
  failed(error: SystemError): void;
}

/** What watches: looks in turns of the reactor's. */
export interface Tracker {
  close(): void;
}
