// The codec of HTTP/1 alone, beside llhttp as node:http drives it: nanoseconds of CPU time a message, and GB/s of it. No sockets.
//   node --expose-internals bench/http1_codec.mjs [ROUNDS]
//
// llhttp is timed twice: with node:http's callbacks, which make strings of all fields, and with none of its own, which is what the
// crossing and the parser cost by themselves. Ours is timed with a head that nobody asks anything, and with one whose target and
// one field are asked for.
import { createRequire } from "node:module";
import { Http1Parser } from "../dist/codecs/http1/parser.js";

const rounds = Number(process.argv[2] ?? 5);
const MESSAGES = 200_000;

const BROWSER = [
  "GET /static/app/main.3f2a91.js?v=20261129 HTTP/1.1",
  "Host: www.example.com",
  "Connection: keep-alive",
  'sec-ch-ua: "Chromium";v="156", "Not-A.Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: no-cors",
  "Sec-Fetch-Dest: script",
  "Referer: https://www.example.com/static/app/index.html",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-US,en;q=0.9,de;q=0.8",
  "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1",
  "",
  "",
].join("\r\n");
const BODY = JSON.stringify({ text: "x".repeat(1013) });
const POST = `POST /api/items HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\nAccept: */*\r\n\r\n${BODY}`;
const inputs = {
  "wrk's GET": "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
  "a browser's GET": BROWSER,
  "POST of 1 KiB": POST,
};

let seen = 0;
const quiet = {
  onHead() {
    seen++;
  },
  onBody() {},
  onTrailers() {},
  onEnd() {},
  onSwitch() {},
};
const asking = {
  ...quiet,
  onHead(head) {
    seen += head.target.length + (head.get("content-type") ?? "").length;
  },
};

function ours(events, bytes) {
  const parser = new Http1Parser("request", events);
  return () => parser.execute(bytes);
}

/** In two pieces, the cut in the middle of the head. */
function oursCut(events, bytes) {
  const parser = new Http1Parser("request", events);
  const cut = bytes.indexOf("\r\n\r\n") >> 1;
  return () => {
    parser.execute(bytes, 0, cut);
    parser.execute(bytes, cut, bytes.length);
  };
}

/** Node's own parser, where `--expose-internals` lets us have it. */
function llhttp(withStrings) {
  let common;
  try {
    common = createRequire(import.meta.url)("internal/test/binding").internalBinding("http_parser");
  } catch {
    return undefined;
  }
  const { HTTPParser } = common;
  return (bytes) => {
    const parser = new HTTPParser();
    parser.initialize(HTTPParser.REQUEST, {});
    if (withStrings) {
      parser[HTTPParser.kOnHeadersComplete | 0] = (_major, _minor, headers, _method, url) => {
        seen += url.length + headers.length;
      };
    }
    return () => parser.execute(bytes, 0, bytes.length);
  };
}

const subjects = {
  "ours, nothing asked": (bytes) => ours(quiet, bytes),
  "ours, target and a field": (bytes) => ours(asking, bytes),
  "ours, head in two pieces": (bytes) => oursCut(quiet, bytes),
  "llhttp, no callbacks": llhttp(false),
  "llhttp, as node:http": llhttp(true),
};

function timed(play) {
  const before = process.cpuUsage();
  for (let i = 0; i < MESSAGES; i++) play();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / MESSAGES;
}

for (const [name, text] of Object.entries(inputs)) {
  const bytes = Buffer.from(text, "latin1");
  console.log(`\n${name}, ${bytes.length} bytes`);
  const plays = Object.entries(subjects).filter(([, make]) => make !== undefined);
  const times = new Map(plays.map(([subject]) => [subject, []]));
  const made = plays.map(([subject, make]) => [subject, make(bytes)]);
  for (const [, play] of made) timed(play);
  for (let round = 0; round < rounds; round++) {
    for (const [subject, play] of made) times.get(subject).push(timed(play));
  }
  for (const [subject, list] of times) {
    const ns = list.sort((a, b) => a - b)[list.length >> 1];
    console.log(
      `  ${subject.padEnd(26)}${ns.toFixed(0).padStart(6)} ns${(bytes.length / ns).toFixed(2).padStart(7)} GB/s`,
    );
  }
}
if (subjects["llhttp, as node:http"] === undefined) console.log("\nllhttp needs node --expose-internals");
if (seen === 0) throw new Error("nothing was read");
