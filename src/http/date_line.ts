let line = "";
let from = 0;
let until = 0;
/** The line with what follows it in a head, made once a second too: each such text is one string, and not three that are joined again. */
let followed: [string, string][] = [];

/** The Date field of a response, made once a second. `now`: the reactor's time, by which the second is measured. */
export function dateLine(now: number): string {
  if (now < until && now >= from) return line;
  const wall = Date.now();
  line = `Date: ${new Date(wall).toUTCString()}\r\n`;
  from = now;
  until = now + 1000 - (wall % 1000);
  followed = [];
  return line;
}

/** The same with lines behind it, of which a server has a few. */
export function dateLineAnd(lines: string, now: number): string {
  const date = dateLine(now);
  for (const [known, text] of followed) if (known === lines) return text;
  // Joined as bytes: a string that is made of others would be taken apart at each write.
  const text = Buffer.from(date + lines, "latin1").toString("latin1");
  if (followed.length < 16) followed.push([lines, text]);
  return text;
}
