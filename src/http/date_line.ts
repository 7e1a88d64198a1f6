let line = "";
let from = 0;
let until = 0;

/** The Date field of a response, made once a second. `now`: the reactor's time, by which the second is measured. */
export function dateLine(now: number): string {
  if (now < until && now >= from) return line;
  const wall = Date.now();
  line = `Date: ${new Date(wall).toUTCString()}\r\n`;
  from = now;
  until = now + 1000 - (wall % 1000);
  return line;
}
