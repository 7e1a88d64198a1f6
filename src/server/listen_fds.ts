/** The first descriptor systemd passes. */
const FIRST = 3;

/**
 * The listening descriptors that a service manager passed to this process by the `LISTEN_FDS` protocol (systemd's
 * sd_listen_fds): to be given to `attachServer`. Empty when there are none or they were meant for another process.
 *
 * ```ts
 * for (const { fd, name } of listenFds()) if (name === "http") await attachServer({ fd }, LineText2);
 * ```
 */
export function listenFds(environment: NodeJS.ProcessEnv = process.env): { fd: number; name: string | undefined }[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  const count = Number(LISTEN_FDS);
  if (LISTEN_PID !== String(process.pid) || !Number.isInteger(count) || count <= 0) return [];
  const names = LISTEN_FDNAMES?.split(":") ?? [];
  return Array.from({ length: count }, (_, at) => ({ fd: FIRST + at, name: names[at] }));
}
