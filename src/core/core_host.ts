/** What the reactor's parts need of the reactor itself: how to report, and when the last handle is gone. */
export interface CoreHost {
  /** The reactor, as the user has it. */
  readonly reactor: object;
  /** An error nobody took: a handler's, a tick's, a timer's. `source` is the connection, where there is one. */
  reportError(error: unknown, source: object | undefined): void;
  /** The last open handle has closed. */
  idle(): void;
  /** The reactor's callbacks begin and end: module-level functions act on it in between. */
  entered(): void;
  left(): void;
}
